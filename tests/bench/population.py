# SPDX-License-Identifier: Apache-2.0
"""population: a site's worth of hosts and virtual machines, put into the Manager's database while it
runs, for its next start.

One data center with its cluster and one virtual machine with its NIC are made through the
interface; the others are their copies with other ids, names and hosts.  Ids are md5('vm:7')::uuid,
as `fleet` answers.
"""

import json
import subprocess

HOSTS_PER_DATA_CENTER = 250  # MaxNumberOfHostsInStoragePool

HOST = {"spm": {"status": "none", "priority": 5}, "ssh": {"port": 22}, "type": "rhel",
        "status": "unassigned", "protocol": "stomp", "external_status": "ok",
        "power_management": {"enabled": False, "kdump_detection": True,
                             "automatic_pm_enabled": True},
        "update_available": False, "reinstallation_required": False}
DISK = {"format": "cow", "status": "ok", "sparse": True, "content_type": "data",
        "description": "", "propagate_errors": False, "wipe_after_delete": False,
        "shareable": False, "storage_type": "image", "provisioned_size": 21474836480,
        "actual_size": 4294967296, "total_size": 4294967296}
ATTACHMENT = {"active": True, "bootable": True, "interface": "virtio_scsi", "read_only": False,
              "pass_discard": False, "uses_scsi_reservation": False}
STORAGE_DOMAIN = {"type": "data", "pool_status": "active", "storage_format": "v5",
                  "description": "", "comment": "", "master": True, "backup": False,
                  "discard_after_delete": False, "wipe_after_delete": False,
                  "storage": {"type": "nfs", "address": "192.0.2.2", "path": "/export/data"}}

FUNCTIONS = """
create or replace function pg_temp.fid(kind text, number int) returns text language sql immutable as
    $$ select md5(kind || ':' || number)::uuid::text $$;
create or replace function pg_temp.link(kind text, number int) returns jsonb language sql immutable as
    $$ select jsonb_build_object('id', pg_temp.fid(kind, number)) $$;
"""


def literal(document):
    return "'%s'::jsonb" % json.dumps(document).replace("'", "''")


def insert(table, kind, count, document, changes):
    """@count copies of @document with ids of @kind; @changes: SQL of what differs, by number n."""
    pairs = "".join(", '%s', %s" % change for change in changes)
    return ("insert into \"%s\" select pg_temp.fid('%s', n), 1, %s || jsonb_build_object("
            "'id', pg_temp.fid('%s', n)%s) from generate_series(0, %d) n;\n" % (
                table, kind, literal(document), kind, pairs, count - 1))


def psql(run, statements):
    """The rows, as lists of texts."""
    done = subprocess.run(["psql", "-h", run, "-U", "vireo", "-d", "vireo", "-AtqX", "-F", "\t",
                           "-v", "ON_ERROR_STOP=1"], input=statements, text=True,
                          stdout=subprocess.PIPE, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def prototypes(api, run):
    """The documents of what the interface makes, by kind."""
    api.add("datacenters", {"name": "proto", "local": "false"})
    api.add("clusters", {"name": "proto", "data_center": {"name": "proto"},
                         "cpu": {"architecture": "x86_64", "type": "Intel Haswell Family"}})
    vm = api.add("vms", {"name": "proto", "cluster": {"name": "proto"},
                         "template": {"name": "Blank"}, "memory": str(4 << 30),
                         "cpu": {"topology": {"sockets": "2", "cores": "1", "threads": "1"}},
                         "os": {"type": "rhel_9x64"}})
    api.add("vms/%s/nics" % vm["id"], {"name": "nic1", "interface": "virtio"})
    rows = psql(run, """
        select 'data_center', doc from data_center where doc->>'name' = 'proto';
        select 'cluster', doc from cluster where doc->>'name' = 'proto';
        select 'network', doc from network where doc->'data_center' = (select
            jsonb_build_object('id', id) from data_center where doc->>'name' = 'proto');
        select 'cluster_network', doc from cluster_network where doc->'cluster' = (select
            jsonb_build_object('id', id) from cluster where doc->>'name' = 'proto');
        select 'vm', doc from vm where doc->>'name' = 'proto';
        select 'nic', doc from nic;""")
    return {kind: json.loads(document) for kind, document in rows}


def populate(api, run, hosts, vms, address, port):
    """@hosts at @address from @port upwards, and @vms that run on them, evenly."""
    proto = prototypes(api, run)
    centers = (hosts + HOSTS_PER_DATA_CENTER - 1) // HOSTS_PER_DATA_CENTER
    center = "n / %d" % HOSTS_PER_DATA_CENTER
    of_vm = "n / %d" % max(1, vms // hosts)
    sql = "begin;" + FUNCTIONS
    sql += insert("data_center", "dc", centers, dict(
        proto["data_center"], status="up", pool_created=True, master_version=1), [
            ("name", "'dc' || n"), ("master_storage_domain", "pg_temp.link('sd', n)")])
    sql += insert("storage_domain", "sd", centers, STORAGE_DOMAIN, [
        ("name", "'data' || n"), ("data_center", "pg_temp.link('dc', n)")])
    sql += insert("cluster", "cluster", centers, proto["cluster"], [
        ("name", "'cluster' || n"), ("data_center", "pg_temp.link('dc', n)")])
    sql += insert("network", "network", centers, proto["network"], [
        ("data_center", "pg_temp.link('dc', n)")])
    sql += insert("cluster_network", "cn", centers, proto["cluster_network"], [
        ("network", "pg_temp.link('network', n)"), ("cluster", "pg_temp.link('cluster', n)")])
    sql += insert("host", "host", hosts, HOST, [
        ("name", "'host' || n"), ("address", "'%s'" % address), ("port", "%d + n" % port),
        ("host_id", "n %% %d + 1" % HOSTS_PER_DATA_CENTER),
        ("cluster", "pg_temp.link('cluster', %s)" % center)])
    sql += insert("vm", "vm", vms, dict(proto["vm"], status="up", start_time=1714559697001), [
        ("name", "'vm' || lpad(n::text, 6, '0')"), ("host", "pg_temp.link('host', %s)" % of_vm),
        ("cluster", "pg_temp.link('cluster', %s / %d)" % (of_vm, HOSTS_PER_DATA_CENTER))])
    sql += insert("nic", "nic", vms, proto["nic"], [
        ("vm", "pg_temp.link('vm', n)"),
        ("mac", "jsonb_build_object('address', regexp_replace(lpad(to_hex(n), 12, '020000000000'),"
                " '(..)(?=.)', '\\1:', 'g'))")])
    sql += insert("disk", "disk", vms, DISK, [
        ("name", "'vm' || n || '_disk1'"), ("alias", "'vm' || n || '_disk1'"),
        ("image_id", "pg_temp.fid('image', n)"),
        ("storage_domain", "pg_temp.link('sd', %s / %d)" % (of_vm, HOSTS_PER_DATA_CENTER))])
    sql += insert("disk_attachment", "disk", vms, ATTACHMENT, [
        ("vm", "pg_temp.link('vm', n)"), ("disk", "pg_temp.link('disk', n)")])
    psql(run, sql + "commit; analyze;")
