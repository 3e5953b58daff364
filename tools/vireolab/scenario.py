# SPDX-License-Identifier: Apache-2.0
"""scenario: from an empty Manager to a running virtual machine.

Each function first looks what is there, so that a second run, or one after a crash, goes on where
the first ended.
"""

import os
import time

from vireolab import StepFailed
from vireolab.api import ApiError

CLUSTER = "Default"
DATA_CENTER = "Default"
MANAGEMENT_PROFILE = "0000000a-000a-000a-000a-000000000398"  # ovirtmgmt's, facts/rest-api.md 8.5
HOST_WAIT = 180
STORAGE_WAIT = 180
VM_WAIT = 180


def add_host(api, name, address, port):
    """Registers the machine whose agent listens on @port; returns it when it is up."""
    host = api.find("hosts", "host", name)
    if host is None:
        # The agent runs already with a certificate of the Manager's authority.  Nothing is said about
        # SSH, so nothing is deployed over it.
        host = api.add("hosts?activate=true", {
            "name": name, "address": address, "port": str(port),
            "cluster": {"name": CLUSTER}})
    path = "hosts/" + host["id"]
    status = api.get(path)["status"]
    if status == "maintenance":
        api.action(path + "/activate")
    return api.wait_status(path, "up", HOST_WAIT, bad=("install_failed",))


def add_data_domain(api, host, name, folder=None, storage=None):
    """A data domain in @folder of this machine, or on @storage (as POST /storagedomains takes it),
    attached and active in the data centre."""
    center = api.find("datacenters", "data_center", DATA_CENTER)
    if center is None:
        raise StepFailed("there is no data centre " + DATA_CENTER)
    domain = api.find("storagedomains", "storage_domain", name)
    if domain is None:
        if storage is None:
            os.makedirs(folder, exist_ok=True)
            os.chown(folder, 36, 36)  # vdsm:kvm of every host, facts/storage-format.md
        domain = api.add("storagedomains", {
            "name": name, "type": "data", "host": {"id": host["id"]},
            "storage": storage or {"type": "localfs", "path": folder}})
    # Its making is a job; once it is attached, its status shows below the data centre alone.
    api.wait_status("storagedomains/" + domain["id"], ("unattached", None), STORAGE_WAIT)
    attached = "datacenters/%s/storagedomains" % center["id"]
    here = [entry for entry in api.get(attached).get("storage_domain", [])
            if entry["id"] == domain["id"]]
    if not here:
        api.add(attached, {"id": domain["id"]})
    path = "%s/%s" % (attached, domain["id"])
    if api.get(path).get("status") in ("maintenance", "inactive"):
        try:
            api.action(path + "/activate")
        except ApiError as error:
            if error.status != 409:  # on its way by itself
                raise
    return api.wait_status(path, "active", STORAGE_WAIT, bad=("unattached",))


def wait_transfer(api, path, wanted, limit, bad):
    return api.wait_status(path, wanted, limit, bad=bad, member="phase", pause=0.3)


def upload_disk(api, domain, name, image, virtual_size):
    """A qcow2 disk with the content of the file @image; returns it when it is usable."""
    disk = api.find("disks", "disk", name)
    if disk is not None and disk.get("status") not in ("ok", "locked"):
        api.call("DELETE", "disks/" + disk["id"])
        disk = None
    if disk is not None and disk["status"] == "ok":
        return disk
    if disk is None:
        disk = api.add("disks", {
            "name": name, "format": "cow", "sparse": "true",
            "provisioned_size": str(virtual_size), "initial_size": str(os.path.getsize(image)),
            "storage_domains": {"storage_domain": [{"id": domain["id"]}]}})
        api.wait_status("disks/" + disk["id"], "ok", STORAGE_WAIT, bad=("illegal",))
        transfer = api.add("imagetransfers", {
            "disk": {"id": disk["id"]}, "direction": "upload", "format": "cow"})
    else:
        # An upload that a crash interrupted: it is done again, from the beginning.
        pending = [entry for entry in api.get("imagetransfers").get("image_transfer", [])
                   if entry.get("disk", {}).get("id") == disk["id"]]
        if not pending:
            return api.wait_status("disks/" + disk["id"], "ok", STORAGE_WAIT, bad=("illegal",))
        transfer = pending[-1]
        if transfer["phase"].startswith("paused"):
            api.action("imagetransfers/%s/resume" % transfer["id"])
    path = "imagetransfers/" + transfer["id"]
    dead = ("cancelled_system", "cancelled_user", "finalizing_failure", "finished_failure",
            "finished_cleanup", "paused_system")
    transfer = wait_transfer(api, path, "transferring", STORAGE_WAIT, dead)
    api.upload(transfer["transfer_url"], image)
    api.action(path + "/finalize")
    try:
        wait_transfer(api, path, "finished_success", STORAGE_WAIT, dead)
    except ApiError as error:
        if error.status != 404:
            raise
    return api.wait_status("disks/" + disk["id"], "ok", STORAGE_WAIT, bad=("illegal",))


def add_vm(api, name, disk, memory, nic=True):
    """A machine with the disk and, unless told otherwise, a NIC on the management network."""
    vm = api.find("vms", "vm", name)
    if vm is None:
        vm = api.add("vms", {
            "name": name, "cluster": {"name": CLUSTER}, "template": {"name": "Blank"},
            "memory": str(memory), "memory_policy": {"guaranteed": str(memory)},
            "os": {"type": "other_linux", "boot": {"devices": {"device": ["hd"]}}}})
    path = "vms/" + vm["id"]
    api.wait_status(path, ("down", "up", "powering_up", "wait_for_launch", "powering_down",
                           "unknown", "not_responding", "paused", "reboot_in_progress"), VM_WAIT)
    if not api.get(path + "/diskattachments").get("disk_attachment"):
        api.add(path + "/diskattachments", {
            "disk": {"id": disk["id"]}, "interface": "virtio", "bootable": "true",
            "active": "true"})
    if nic and not api.get(path + "/nics").get("nic"):
        api.add(path + "/nics", {"name": "nic1", "interface": "virtio",
                                 "vnic_profile": {"id": MANAGEMENT_PROFILE}})
    return api.get(path)


def start_vm(api, vm):
    """Starts it unless it runs; returns it when it is up."""
    path = "vms/" + vm["id"]
    vm = api.get(path)
    if vm["status"] in ("powering_down", "image_locked", "saving_state"):
        vm = api.wait_status(path, ("down", "suspended"), VM_WAIT)
    if vm["status"] in ("down", "suspended"):
        end = time.monotonic() + VM_WAIT
        while True:
            try:
                api.action(path + "/start")
                break
            except ApiError as error:
                # A host that came up a moment ago may not have reported its memory.
                if error.status != 409 or time.monotonic() > end:
                    raise
                time.sleep(1)
                if api.get(path)["status"] != "down":
                    break
    return api.wait_status(path, "up", VM_WAIT, bad=())


def stop_vms(api, limit):
    """Stops every machine, without asking the guests; best effort."""
    for vm in api.get("vms").get("vm", []):
        if vm.get("status") != "down":
            try:
                api.action("vms/%s/stop" % vm["id"])
                api.wait_status("vms/" + vm["id"], "down", limit)
            except (ApiError, StepFailed, OSError):
                pass
