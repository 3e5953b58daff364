# SPDX-License-Identifier: Apache-2.0
"""Storage of the lab: an NFS server whose loss is felt and mended."""

TOPOLOGY = "two-hosts-nfs"
MANAGER = False
MOUNT = "mkdir -p /mnt/data && mount -t nfs -o soft,nosharecache,timeo=10,retrans=2,nolock,vers=%s " \
        "store:/export/data /mnt/data"
# O_DIRECT, as the hosts of a data center write and read.
WRITE = "printf '%-512s' '{0}' | dd of=/mnt/data/{1} bs=512 iflag=fullblock oflag=direct conv=notrunc,fsync 2>&1"
READ = "dd if=/mnt/data/{0} bs=512 iflag=direct status=none"


def test_an_export_is_shared_by_both_versions_and_keeps_its_owner(lab):
    one, two = lab.host("host1"), lab.host("host2")
    one.run(MOUNT % "3")
    two.run(MOUNT % "4.2")
    assert one.run("stat -c %u:%g /mnt/data").out == "36:36\n"
    one.run(WRITE.format("from one", "a"))
    assert two.run(READ.format("a")).out.strip() == "from one"
    # Leases and migration rest on locks that the other host sees.
    two.run("flock -n /mnt/data/a true")


def test_a_frozen_server_gives_errors_and_comes_back(lab):
    one, store = lab.host("host1"), lab.host("store")
    store.freeze()
    failed = one.run(WRITE.format("lost", "b"), check=False, limit=60)
    store.thaw()
    assert failed.status != 0
    one.wait(WRITE.format("again", "b"))
    assert one.run(READ.format("b")).out.strip() == "again"


def test_a_server_that_lost_power_has_what_was_written(lab):
    one, two, store = lab.host("host1"), lab.host("host2"), lab.host("store")
    one.run(WRITE.format("safe", "c"))
    store.power_off()
    store.power_on()
    assert two.wait(READ.format("c"), limit=120).out.strip() == "safe"
    assert one.wait(READ.format("c"), limit=120).out.strip() == "safe"
