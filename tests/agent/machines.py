# SPDX-License-Identifier: Apache-2.0
"""machines: domain XML as a Manager sends it, and a guest of one sector that needs no file but it."""

import base64
import struct
import uuid

NAMESPACES = ('xmlns:ovirt-tune="http://ovirt.org/vm/tune/1.0" '
              'xmlns:ovirt-vm="http://ovirt.org/vm/1.0"')


def boot_sector():
    """Prints `BOOT` and then a dot about every second on the first serial port, for ever."""
    code = bytearray()
    code += bytes.fromhex("31c08ed88ed0bc007cfb")           # xor ax,ax; mov ds,ax; mov ss,ax;
    #                                                          mov sp,0x7c00; sti
    message_at = len(code) + 1
    code += b"\xbe\0\0"                                     # mov si, message
    code += b"\xac\x84\xc0\x74\x05"                         # next: lodsb; test al,al; jz +5
    code += b"\xe8\x18\x00"                                 # call put
    code += b"\xeb\xf6"                                     # jmp next
    loop = len(code)
    code += b"\xb4\x00\xcd\x1a\x89\xd3"                     # mov ah,0; int 0x1a; mov bx,dx
    wait = len(code)
    code += b"\xf4\xb4\x00\xcd\x1a\x29\xda\x83\xfa\x12\x72"  # hlt; int 0x1a; sub dx,bx; cmp dx,18
    code += struct.pack("b", wait - (len(code) + 1))        # jb wait
    code += b"\xb0."                                        # mov al,'.'
    call_at = len(code)
    code += b"\xe8\0\0"                                     # call put
    code += b"\xeb" + struct.pack("b", loop - (len(code) + 2))  # jmp loop
    put = len(code)
    code += b"\xb4\x01\x31\xd2\xcd\x14\xc3"                 # mov ah,1; xor dx,dx; int 0x14; ret
    message = len(code)
    code += b"BOOT\r\n\0"
    struct.pack_into("<H", code, message_at, 0x7c00 + message)
    struct.pack_into("<h", code, call_at + 1, put - (call_at + 3))
    first_call = code.index(b"\xe8")
    struct.pack_into("<h", code, first_call + 1, put - (first_call + 3))
    return bytes(code) + bytes(510 - len(code)) + b"\x55\xaa"


VNC = ('<graphics type="vnc" port="-1" autoport="yes" passwd="*****" '
       'passwdValidTo="1970-01-01T00:00:01"><listen type="network" network="vdsm-ovirtmgmt"/>'
       '</graphics>')
SPICE = ('<graphics type="spice" port="-1" tlsPort="-1" autoport="yes" passwd="*****" '
         'passwdValidTo="1970-01-01T00:00:01"><channel name="main" mode="secure"/>'
         '<listen type="network" network="vdsm-ovirtmgmt"/></graphics>')


def domain(name, vm=None, devices="", metadata="", memory=32, extra="", agent=False, graphics=VNC):
    """(id, XML).  One virtual processor of the host's model, VNC behind a ticket, a serial port."""
    vm = vm or str(uuid.uuid4())
    channel = ('<channel type="unix"><source mode="bind" path="/var/lib/libvirt/qemu/channels/'
               '%s.org.qemu.guest_agent.0"/><target type="virtio" name="org.qemu.guest_agent.0"/>'
               '</channel>' % vm) if agent else ""
    xml = """<?xml version="1.0" encoding="UTF-8"?><domain type="kvm" %s>
<name>%s</name><uuid>%s</uuid>
<memory unit="KiB">%d</memory><currentMemory unit="KiB">%d</currentMemory><vcpu>1</vcpu>
<sysinfo type="smbios"><system><entry name="manufacturer">Vireo</entry>
<entry name="product">OS-NAME:</entry><entry name="version">OS-VERSION:</entry>
<entry name="serial">HOST-SERIAL:</entry><entry name="uuid">%s</entry></system></sysinfo>
<clock offset="variable" adjustment="0"><timer name="rtc" tickpolicy="catchup"/>
<timer name="pit" tickpolicy="delay"/><timer name="hpet" present="no"/></clock>
<features><acpi/></features>
<cpu mode="host-passthrough" match="exact"><topology sockets="1" cores="1" threads="1"/></cpu>
<os><type arch="x86_64" machine="pc-q35-rhel8.6.0">hvm</type><smbios mode="sysinfo"/></os>
<on_reboot>restart</on_reboot>
<devices><serial type="pty"><target port="0"/></serial>%s
%s
<video><model type="qxl" vram="32768" heads="1" ram="65536" vgamem="16384"/></video>
<memballoon model="virtio"/>%s</devices>%s
<metadata><ovirt-tune:qos/><ovirt-vm:vm>
<ovirt-vm:minGuaranteedMemoryMb type="int">%d</ovirt-vm:minGuaranteedMemoryMb>
<ovirt-vm:clusterVersion>4.7</ovirt-vm:clusterVersion>
<ovirt-vm:launchPaused type="bool">false</ovirt-vm:launchPaused>
<ovirt-vm:resumeBehavior>auto_resume</ovirt-vm:resumeBehavior>%s</ovirt-vm:vm></metadata>
</domain>""" % (NAMESPACES, name, vm, memory * 1024, memory * 1024, vm, channel, graphics, devices,
                extra, memory, metadata)
    return vm, xml


def disk(path, target="sda", bus="sata", order=1):
    return ('<disk type="file" device="disk" snapshot="no"><driver name="qemu" type="raw" '
            'cache="writeback" error_policy="stop"/><source file="%s"/>'
            '<target dev="%s" bus="%s"/><boot order="%d"/></disk>' % (path, target, bus, order))


def cdrom(target="sdc", source=""):
    return ('<disk type="file" device="cdrom" snapshot="no"><driver name="qemu" type="raw" '
            'error_policy="report"/><source file="%s" startupPolicy="optional"/>'
            '<target dev="%s" bus="sata"/><readonly/></disk>' % (source, target))


def payload(target, files, label="config-2"):
    """Metadata of a CD made of @files: {path: bytes}."""
    inner = "".join('<ovirt-vm:file path="%s">%s</ovirt-vm:file>'
                    % (path, base64.b64encode(data).decode()) for path, data in files.items())
    return ('<ovirt-vm:device devtype="disk" name="%s"><ovirt-vm:payload><ovirt-vm:volId>%s'
            '</ovirt-vm:volId>%s</ovirt-vm:payload></ovirt-vm:device>' % (target, label, inner))


def create(client, vm, xml, **more):
    return client.call_ready("VM.create", vmID=vm, vmParams=dict(vmId=vm, xml=xml, **more))
