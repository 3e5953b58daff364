# SPDX-License-Identifier: Apache-2.0
"""storage: a local data domain with one volume, as a Manager makes it (facts/host-rpc.md 15)."""

import os

from host import wait_until

BLANK = "00000000-0000-0000-0000-000000000000"
LOCAL = 4


class Domain:
    """Pool and domain on @folder; this host is the SPM."""

    def __init__(self, client, folder):
        self.client, self.folder = client, folder
        self.pool = "6b2d1c8a-0f1e-4c77-8a58-2f0a5d3c9e10"
        self.sd = "5f0e1b0c-7d2a-4b57-9a53-0f6f7e1c2d3e"

    def make(self):
        """Makes it where it is not there yet."""
        made = os.path.isdir(self.folder)
        os.makedirs(self.folder, exist_ok=True)
        self.connect()
        call = self.client.call
        if not made:
            call("StorageDomain.create", storagedomainID=self.sd, domainType=LOCAL,
                 typeArgs=self.folder, name="data", domainClass=1, version="5")
            call("StoragePool.create", storagepoolID=self.pool, name="Default",
                 masterSdUUID=self.sd, masterVersion=1, domainList=[self.sd],
                 lockRenewalIntervalSec=5, leaseTimeSec=60, ioOpTimeoutSec=10, leaseRetries=3)
        call("StoragePool.connect", storagepoolID=self.pool, hostID=1, scsiKey=self.pool,
             masterSdUUID=self.sd, masterVersion=1, domainDict={self.sd: "active"})
        self.task(call("StoragePool.spmStart", storagepoolID=self.pool, prevID=-1, prevLver="-1",
                       enableScsiFencing="false", maxHostID=250, domVersion="5"))

    def connect(self):
        answer = self.client.call_ready(
            "StoragePool.connectStorageServer", storagepoolID=BLANK, domainType=LOCAL,
            connectionParams=[{"id": "c1", "connection": self.folder}])
        assert answer == [{"id": "c1", "status": 0}]

    def task(self, task):
        def finished():
            return self.client.call("Task.getStatus", taskID=task)["taskState"] == "finished"
        wait_until(finished, 60, "task %s does not end" % task)
        status = self.client.call("Task.getStatus", taskID=task)
        assert status["taskResult"] == "success", status
        self.client.call("Task.clear", taskID=task)

    def volume(self, image, volume, size, content=b""):
        """A raw, sparse volume that begins with @content; its path."""
        names = dict(storagepoolID=self.pool, storagedomainID=self.sd, imageID=image,
                     volumeID=volume)
        self.task(self.client.call("Volume.create", size=str(size), volFormat=5, preallocate=2,
                                   diskType="DATA", desc="{}", srcImgUUID=BLANK, srcVolUUID=BLANK,
                                   **names))
        path = self.client.call("Image.prepare", **names)["path"]
        if content:
            with open(path, "r+b") as file:
                file.write(content)
        self.client.call("Image.teardown", **names)
        return path

    def metadata(self, target, image, volume):
        """The disk's element in a machine's metadata."""
        return ('<ovirt-vm:device devtype="disk" name="%s"><ovirt-vm:poolID>%s</ovirt-vm:poolID>'
                '<ovirt-vm:domainID>%s</ovirt-vm:domainID><ovirt-vm:imageID>%s</ovirt-vm:imageID>'
                '<ovirt-vm:volumeID>%s</ovirt-vm:volumeID></ovirt-vm:device>'
                % (target, self.pool, self.sd, image, volume))
