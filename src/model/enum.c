/* SPDX-License-Identifier: Apache-2.0 */
#include "model/model.h"

static bool is_separator(char c)
{
    return c == '_' || c == '-' || c == ' ';
}

/* Whether the two spell the same word, any case, with or without separators. */
static bool same_word(const char *a, const char *b)
{
    for (;;) {
        while (is_separator(*a))
            a++;
        while (is_separator(*b))
            b++;
        if (g_ascii_tolower(*a) != g_ascii_tolower(*b))
            return false;
        if (!*a)
            return true;
        a++;
        b++;
    }
}

int vr_enum_parse(const struct vr_enum *e, const char *word)
{
    /* Some enumerations of the host protocol have words that differ by case alone (`active`,
     * `Active`) or consist of separators (`-`): the exact one wins. */
    for (unsigned i = 0; i < e->count; i++) {
        if (strcmp(e->words[i], word) == 0)
            return (int)i;
    }
    if (same_word(word, ""))
        return -1;
    for (unsigned i = 0; i < e->count; i++) {
        if (same_word(e->words[i], word))
            return (int)i;
    }
    return -1;
}

const char *vr_enum_word(const struct vr_enum *e, int value)
{
    return value >= 0 && (unsigned)value < e->count ? e->words[value] : NULL;
}
