/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"

#include <errno.h>
#include <sys/random.h>

/* RFC 4122 text: hyphens before the bytes 4, 6, 8 and 10. */
static bool hyphen_at(unsigned place)
{
    return place == 8 || place == 13 || place == 18 || place == 23;
}

void vr_uuid_format(char out[37], const uint8_t random[16])
{
    static const char digits[] = "0123456789abcdef";
    unsigned place = 0;
    for (unsigned i = 0; i < 16; i++) {
        uint8_t byte = random[i];
        if (i == 6)
            byte = (byte & 0x0f) | 0x40; /* version 4: random */
        else if (i == 8)
            byte = (byte & 0x3f) | 0x80; /* the variant of RFC 4122 */
        if (hyphen_at(place))
            out[place++] = '-';
        out[place++] = digits[byte >> 4];
        out[place++] = digits[byte & 15];
    }
    out[place] = '\0';
}

char *vr_uuid_new(void)
{
    uint8_t random[16];
    ssize_t got;
    do
        got = getrandom(random, sizeof(random), 0);
    while (got < 0 && errno == EINTR);
    /* Up to 256 bytes come whole once the kernel's pool is ready, which the call waits for. */
    g_assert(got == (ssize_t)sizeof(random));
    char *text = g_malloc(37);
    vr_uuid_format(text, random);
    return text;
}

bool vr_uuid_valid(const char *text)
{
    for (unsigned place = 0; place < 36; place++) {
        if (hyphen_at(place) ? text[place] != '-' : !g_ascii_isxdigit(text[place]))
            return false;
    }
    return text[36] == '\0';
}
