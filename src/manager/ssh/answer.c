/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/ssh/ssh.h"

#include <string.h>

#define PREFIX "SHA256:"
#define DIGITS 43        /* of base64 without padding for 32 bytes */
#define KEY_MAX (16 << 10) /* an RSA key of 16384 bits takes 2.8 KiB */

bool vr_ssh_is_fingerprint(const char *text)
{
    if (!g_str_has_prefix(text, PREFIX))
        return false;
    text += strlen(PREFIX);
    size_t digits = 0;
    while (g_ascii_isalnum(text[digits]) || text[digits] == '+' || text[digits] == '/')
        digits++;
    return digits == DIGITS && (!text[digits] || strcmp(text + digits, "=") == 0);
}

bool vr_ssh_same_fingerprint(const char *a, const char *b)
{
    return a && b && vr_ssh_is_fingerprint(a) && vr_ssh_is_fingerprint(b) &&
           strncmp(a, b, strlen(PREFIX) + DIGITS) == 0;
}

char *vr_ssh_fingerprint(const char *public_key)
{
    if (strlen(public_key) > KEY_MAX)
        return NULL;
    g_auto(GStrv) words = g_strsplit_set(public_key, " \t\r\n", 3);
    if (!words[0] || !words[1] || !*words[0] || !*words[1])
        return NULL;
    gsize size = 0;
    g_autofree guchar *blob = g_base64_decode(words[1], &size);
    /* The blob begins with the type's name, length first (RFC 4253, 6.6). */
    size_t name = strlen(words[0]);
    g_autofree char *again = g_base64_encode(blob, size);
    if (size < 4 + name || strcmp(again, words[1]) != 0 || blob[0] || blob[1] || blob[2] ||
        blob[3] != name || memcmp(blob + 4, words[0], name) != 0)
        return NULL;
    guint8 digest[32];
    gsize length = sizeof(digest);
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(sum, blob, (gssize)size);
    g_checksum_get_digest(sum, digest, &length);
    g_checksum_free(sum);
    g_autofree char *base64 = g_base64_encode(digest, length);
    base64[DIGITS] = '\0';
    return g_strconcat(PREFIX, base64, NULL);
}

void vr_ssh_answer_clear(struct vr_ssh_answer *answer)
{
    g_free(answer->message);
    g_free(answer->fingerprint);
    g_free(answer->public_key);
    if (answer->output)
        g_string_free(answer->output, TRUE);
    if (answer->noise)
        g_string_free(answer->noise, TRUE);
    *answer = (struct vr_ssh_answer){ 0 };
}
