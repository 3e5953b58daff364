# SPDX-License-Identifier: Apache-2.0
"""An iSCSI target with two portals: each LUN has two paths, one of which may go."""

TOPOLOGY = "two-hosts-iscsi"
MANAGER = False
MULTIPATH = """\
defaults {
    find_multipaths no
    user_friendly_names no
    polling_interval 2
    max_polling_interval 4
    fast_io_fail_tmo 5
    dev_loss_tmo 30
    no_path_retry 4
}
blacklist {
    devnode "^vd"
}
"""
LOGIN = """set -e
modprobe -a iscsi_tcp dm-multipath scsi_dh_alua
systemctl start iscsid multipathd
iscsiadm -m discovery -t st -p 10.99.0.13 >/dev/null
iscsiadm -m node -o update -n node.session.timeo.replacement_timeout -v 5
iscsiadm -m node -o update -n 'node.conn[0].timeo.noop_out_interval' -v 2
iscsiadm -m node -o update -n 'node.conn[0].timeo.noop_out_timeout' -v 2
iscsiadm -m node -l >/dev/null
"""
# A line a LUN: its id and the number of its active paths.
ACTIVE = "multipathd show paths raw format '%w %t' | awk '$2 == \"active\" { n[$1]++ } END { for (w in n) print w, n[w] }'"


def maps(host, limit=180):
    """Ids of the two LUNs when both have two active paths and a device."""
    host.wait("[ \"$(%s | grep -c ' 2$')\" = 2 ]" % ACTIVE, limit)
    ids = sorted(line.split()[0] for line in host.run(ACTIVE).out.splitlines())
    host.wait("ls " + " ".join("/dev/mapper/" + wwid for wwid in ids))
    return ids


def test_both_hosts_see_two_paths_to_the_same_luns(lab):
    found = []
    for name in ("host1", "host2"):
        host = lab.host(name)
        host.push(MULTIPATH.encode(), "/etc/multipath.conf")
        host.run(LOGIN)
        found.append(maps(host))
    assert found[0] == found[1] and len(set(found[0])) == 2


def test_a_lun_survives_the_loss_of_a_path(lab):
    one, two = lab.host("host1"), lab.host("host2")
    wwid = maps(one)[0]
    one.cut("nic1")
    try:
        one.run("printf '%%-512s' 'over one path' | dd of=/dev/mapper/%s bs=512 seek=1 oflag=direct "
                "iflag=fullblock status=none" % wwid)
        read = two.run("dd if=/dev/mapper/%s bs=512 skip=1 count=1 iflag=direct status=none" % wwid)
        assert read.out.strip() == "over one path"
        one.wait("%s | grep -q '^%s 1$'" % (ACTIVE, wwid))
    finally:
        one.heal("nic1")
    assert wwid in maps(one)


def test_ids_stay_when_the_target_was_without_power(lab):
    one, store = lab.host("host1"), lab.host("store")
    before = maps(one)
    store.power_off()
    store.power_on()
    assert maps(one) == before
