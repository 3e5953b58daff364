/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A guest of 512 bytes: a boot sector that counts.  About once a second it writes its counter to its
 * disk and then says it on COM1, so that a serial log and a disk prove that it runs, that it goes on,
 * and that what it wrote is there, without a kernel and within 16 MiB.
 *
 *     START 41     the counter that was on the disk, 0 on a new one
 *     BOOT 42      42 is on the disk
 *     FAIL 43      the BIOS could not write it
 *
 * Sector 1 of the disk holds `VBSG`, then the counter, both as 32 bits little endian.
 *
 * BIOS: int 0x13, functions 0x42 and 0x43 (extended read and write), int 0x1a, function 0 (ticks, 18.2 a
 * second).  UART: 16550 at 0x3f8.
 */

.intel_syntax noprefix
.code16
.text
.globl _start

.set com1, 0x3f8
.set line_status, com1 + 5
.set buffer, 0x8000
.set magic, 0x47534256 /* VBSG */
.set ticks_a_second, 18

_start:
    ljmp 0, offset begin
begin:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    cld
    mov [drive], dl

    /* A buffer of zeros, so that a failed read counts from 0. */
    mov di, offset buffer
    mov cx, 256
    rep stosw
    mov ah, 0x42
    call disk
    xor eax, eax
    cmp dword ptr [buffer], magic
    jne new
    mov eax, [buffer + 4]
new:
    mov dword ptr [buffer], magic
    mov [buffer + 4], eax
    mov si, offset start_word
    call say

count:
    inc dword ptr [buffer + 4]
    mov ax, 0x4300
    call disk
    mov si, offset boot_word
    jnc written
    mov si, offset fail_word
written:
    call say

    xor ah, ah
    int 0x1a
    mov bx, dx
wait:
    hlt
    xor ah, ah
    int 0x1a
    sub dx, bx
    cmp dx, ticks_a_second
    jb wait
    jmp count

/* int 0x13 with AX on sector 1; carry when it failed. */
disk:
    mov si, offset packet
    mov word ptr [packet + 2], 1 /* the BIOS leaves there how many it did */
    mov dl, [drive]
    int 0x13
    ret

/* The word at SI, a space, the counter, end of line. */
say:
    lodsb
    test al, al
    jz number
    call put
    jmp say
number:
    mov eax, [buffer + 4]
    mov ebx, 10
    xor cx, cx
digit:
    xor edx, edx
    div ebx
    push dx
    inc cx
    test eax, eax
    jnz digit
print:
    pop ax
    add al, '0'
    call put
    loop print
    mov al, 13
    call put
    mov al, 10

put:
    push ax
    mov dx, line_status
full:
    in al, dx
    test al, 0x20
    jz full
    pop ax
    mov dx, com1
    out dx, al
    ret

start_word: .asciz "START "
boot_word:  .asciz "BOOT "
fail_word:  .asciz "FAIL "

.balign 4
packet:
    .byte 16, 0
    .word 1
    .word buffer, 0
    .quad 1
drive:
    .byte 0

.org 510
    .word 0xaa55
