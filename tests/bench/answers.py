# SPDX-License-Identifier: Apache-2.0
"""answers: what a host of 16 cores, two NICs and one storage domain says (facts/host-rpc.md 7, 8,
10.4), with everything that a guest agent adds: the answers that `fleet` gives over and over, with
the ids and the counters changed."""

CPUS = 32


def nic(number):
    return {"hwaddr": "52:54:00:12:34:%02x" % number, "addr": "", "netmask": "", "mtu": "1500",
            "dhcpv4": False, "dhcpv6": False, "ipv4addrs": [], "ipv6addrs": [], "ipv6autoconf": True,
            "ipv6gateway": "::", "speed": 10000}


def capabilities():
    bridge = {"addr": "192.0.2.10", "netmask": "255.255.255.0", "gateway": "192.0.2.1",
              "mtu": "1500", "dhcpv4": True, "dhcpv6": False, "ipv4addrs": ["192.0.2.10/24"],
              "ipv6addrs": [], "ipv6autoconf": True, "ipv6gateway": "::", "ports": ["bond0"],
              "stp": "off", "iface": "ovirtmgmt", "bridged": True}
    return {
        "cpuCores": "16", "cpuThreads": str(CPUS), "cpuSockets": "2", "cpuSpeed": "2600.000",
        "cpuModel": "Simulated CPU", "kvmEnabled": "true", "nestedVirtualization": False,
        "cpuFlags": "fpu,vme,de,pse,tsc,msr,pae,mce,cx8,apic,sep,mtrr,pge,mca,cmov,pat,clflush,mmx,"
                    "fxsr,sse,sse2,ss,ht,syscall,nx,pdpe1gb,rdtscp,lm,constant_tsc,avx2,aes,"
                    "model_Haswell-noTSX,model_Nehalem,model_Westmere,model_SandyBridge",
        "cpuTopology": [{"cpu_id": cpu, "numa_cell_id": cpu % 2, "socket_id": cpu % 2, "die_id": 0,
                         "core_id": cpu // 4} for cpu in range(CPUS)],
        "onlineCpus": ",".join(str(cpu) for cpu in range(CPUS)), "vdsmToCpusAffinity": [1],
        "memSize": "524288", "reservedMem": "321", "guestOverhead": "65", "hugepages": [2048],
        "numaNodes": {str(node): {"cpus": list(range(node, CPUS, 2)), "totalMemory": "262144",
                                  "hugepages": {"2048": {"totalPages": "0"}}} for node in (0, 1)},
        "numaNodeDistance": {"0": [10, 21], "1": [21, 10]}, "autoNumaBalancing": 1,
        "uuid": "", "operatingSystem": {"release": "1", "version": "9", "name": "RHEL",
                                        "pretty_name": "Simulated Linux 9"},
        "software_version": "4.50.5", "software_revision": "1", "version_name": "Snow Man",
        "packages2": {name: {"version": "9.0.0", "release": "1.el9"}
                      for name in ("kernel", "qemu-kvm", "libvirt", "vdsm", "mom", "lvm2")},
        "supportedENGINEs": ["4.4", "4.5"], "clusterLevels": ["4.4", "4.5", "4.6", "4.7"],
        "emulatedMachines": ["pc", "q35", "pc-q35-rhel8.6.0"], "vmTypes": ["kvm"],
        "rngSources": ["hwrng", "random"], "additionalFeatures": [], "domain_versions": [0, 4, 5],
        "nics": {"em1": nic(1), "em2": nic(2)}, "vlans": {},
        "bondings": {"bond0": dict(nic(1), slaves=["em1", "em2"], opts={"mode": "4"})},
        "bridges": {"ovirtmgmt": bridge},
        "networks": {"ovirtmgmt": dict(bridge, interface="ovirtmgmt")},
        "selinux": {"mode": "1"}, "kdumpStatus": 1, "netConfigDirty": "False",
        "nameservers": ["192.0.2.1"], "lastClientIface": "ovirtmgmt", "hooks": {},
        "supportsIPv6": True,
    }


def interface(name):
    return {"name": name, "rx": "1002837465", "tx": "928374650", "rxErrors": "0", "txErrors": "0",
            "rxDropped": "12", "txDropped": "0", "speed": "10000", "duplex": "full", "state": "up",
            "sampleTime": 1714559696.78}


def host_stats():
    return {
        "memFree": 260000, "memUsed": "50", "memShared": 0, "anonHugePages": "1024",
        "swapTotal": 8191, "swapFree": 8191, "cpuUser": "12.10", "cpuSys": "2.20",
        "cpuIdle": "85.70", "cpuLoad": "4.10", "cpuUserVdsmd": "0.40", "cpuSysVdsmd": "0.20",
        "cpuStatistics": {str(cpu): {"nodeIndex": cpu % 2, "cpuUser": "12.00", "cpuSys": "2.00",
                                     "cpuIdle": "86.00"} for cpu in range(CPUS)},
        "numaNodeMemFree": {str(node): {"memFree": "130000", "memPercent": 50,
                                        "hugepages": {"2048": {"freePages": "0"}}}
                            for node in (0, 1)},
        "network": {name: interface(name) for name in ("em1", "em2", "bond0", "ovirtmgmt")},
        "rxDropped": "12", "txDropped": "0", "ksmCpu": 0, "ksmPages": 100, "ksmState": False,
        "ksmMergeAcrossNodes": True, "thpState": "always", "momStatus": "inactive",
        "diskStats": {path: {"free": "40000"} for path in ("/tmp", "/var/log", "/run")},
        "storageDomains": {"0": {"code": 0, "lastCheck": "4.2", "delay": "0.000412", "valid": True,
                                 "version": 5, "acquired": True, "actual": True}},
        "vmCount": 10, "vmActive": 10, "vmMigrating": 0, "incomingVmMigrations": 0,
        "outgoingVmMigrations": 0, "netConfigDirty": "False", "bootTime": "1714000000",
        "elapsedTime": "559696", "dateTime": "2026-01-01T00:00:00 GMT",
    }


def vm_stats():
    return {
        "vmId": "", "vmName": "", "status": "Up", "statusTime": "0", "vmType": "kvm",
        "kvmEnable": "true", "acpiEnable": "true", "hash": "-2271832764862348", "clientIp": "",
        "elapsedTime": "0", "timeOffset": "0", "monitorResponse": "0", "cpuUser": "0.00",
        "cpuSys": "0.40", "cpuUsage": "0", "vcpuCount": "2", "vcpuQuota": "-1", "vcpuPeriod": 100000,
        "memUsage": "41", "pauseCode": "NOERR",
        "balloonInfo": {"balloon_max": "4194304", "balloon_min": "1048576",
                        "balloon_cur": "4194304", "balloon_target": "4194304",
                        "ballooning_enabled": True},
        "memoryStats": {"mem_total": "4028312", "mem_unused": "1827364", "mem_free": "2384756",
                        "mem_cached": "557392", "swap_in": 0, "swap_out": 0, "majflt": 0,
                        "minflt": 120, "pageflt": 120},
        "network": {"vnet0": dict(interface("vnet0"), macAddr="56:6f:1a:2b:00:01", speed="1000")},
        "disks": {"sda": {"truesize": "4294967296", "apparentsize": "21474836480",
                          "readRate": "1024.00", "writeRate": "20480.00", "readLatency": "120000",
                          "writeLatency": "410000", "flushLatency": "90000", "readOps": "38271",
                          "writeOps": "182736", "readBytes": "1837465728",
                          "writtenBytes": "9283746560",
                          "imageID": "4d2a1f0e-5b6c-4c7d-8e9f-0a1b2c3d4e5f"}},
        "displayInfo": [{"type": "vnc", "port": "5900", "tlsPort": "-1", "ipAddress": "192.0.2.10"}],
        "vmJobs": {}, "guestIPs": "192.0.2.77 2001:db8::77", "guestFQDN": "guest.example.com",
        "guestName": "guest", "guestOs": "5.14.0-362.el9.x86_64",
        "guestOsInfo": {"version": "9.3", "distribution": "Simulated Linux", "codename": "Nine",
                        "arch": "x86_64", "type": "linux", "kernel": "5.14.0-362.el9.x86_64"},
        "guestTimezone": {"offset": 0, "zone": "UTC"}, "guestCPUCount": 2, "username": "root",
        "session": "UserLoggedOn",
        "appsList": ["kernel-5.14.0-362.el9", "qemu-guest-agent-8.0.0-1.el9", "cloud-init-23.1"],
        "netIfaces": [{"name": "eth0", "hw": "56:6f:1a:2b:00:01", "inet": ["192.0.2.77"],
                       "inet6": ["2001:db8::77", "fe80::546f:1aff:fe2b:1"]}],
        "disksUsage": [{"path": "/", "total": "21003583488", "used": "4200716697", "fs": "xfs"}],
    }


def hardware():
    return {"systemManufacturer": "Simulated", "systemProductName": "Host 3000",
            "systemVersion": "1", "systemSerialNumber": "S-0001", "systemFamily": "Simulated",
            "systemUUID": "4c4c4544-0000-1000-8000-000000000001"}
