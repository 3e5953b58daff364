/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/main/openapi.h"

#include "gen/routes.h" /* written together with the text, which is then taken anew */

/* A megabyte of text as it is, rather than as a C array that takes seconds to compile. */
__asm__(".section .rodata\n"
        ".global vr_openapi\n"
        ".hidden vr_openapi\n"
        ".type vr_openapi, @object\n"
        "vr_openapi:\n"
        ".incbin \"" VR_OPENAPI_FILE "\"\n"
        ".byte 0\n"
        ".size vr_openapi, . - vr_openapi\n"
        ".previous\n");
