/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/search/query.h"

#include <errno.h>

static char *fold(const char *text)
{
    return g_str_is_ascii(text) ? g_ascii_strdown(text, -1) : g_utf8_casefold(text, -1);
}

void vr_search_pattern_init(struct vr_search_pattern *pattern, const char *text,
                            bool case_sensitive)
{
    memset(pattern, 0, sizeof(*pattern));
    pattern->fold = !case_sensitive;
    pattern->text = case_sensitive ? g_strdup(text) : fold(text);
    pattern->wild = strchr(text, '*') != NULL;
}

void vr_search_pattern_done(struct vr_search_pattern *pattern)
{
    g_clear_pointer(&pattern->text, g_free);
}

/* `*` is any run; linear but for the last star, as no star before it needs to be taken back. */
static bool glob(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

bool vr_search_pattern_matches(const struct vr_search_pattern *pattern, const char *text)
{
    if (!text)
        text = "";
    if (!pattern->inside && !pattern->wild && pattern->fold && g_str_is_ascii(pattern->text) &&
        g_ascii_strcasecmp(pattern->text, text) == 0)
        return true;
    g_autofree char *folded = pattern->fold ? fold(text) : NULL;
    if (folded)
        text = folded;
    if (!pattern->inside)
        return pattern->wild ? glob(pattern->text, text) : strcmp(pattern->text, text) == 0;
    if (!pattern->wild)
        return strstr(text, pattern->text) != NULL;
    g_autofree char *anywhere = g_strconcat("*", pattern->text, "*", NULL);
    return glob(anywhere, text);
}

static bool only_equality(enum vr_search_relation relation)
{
    return relation == VR_SEARCH_EQ || relation == VR_SEARCH_NE;
}

/* Enum words match however they are put together: powering_up, PoweringUp, powering-up. */
static char *bare_word(const char *word)
{
    GString *bare = g_string_new(NULL);
    for (; *word; word++)
        if (*word != '_' && *word != '-')
            g_string_append_c(bare, *word);
    return g_string_free(bare, FALSE);
}

static bool init_enum(struct vr_search_condition *condition, const char *value)
{
    /* The Manager this language comes from has more words than the interface. */
    static const struct {
        const char *word, *wire;
    } others[] = {
        { "migratingfrom", "migrating" },
        { "migratingto", "migrating" },
        { "imagelocked", "image_locked" },
    };
    if (!only_equality(condition->relation))
        return false;
    if (condition->pattern.wild) {
        g_autofree char *bare = bare_word(value);
        vr_search_pattern_done(&condition->pattern);
        vr_search_pattern_init(&condition->pattern, bare, false);
        return true;
    }
    const struct vr_enum *e = condition->path.leaf->sub;
    int number = vr_enum_parse(e, value);
    for (unsigned i = 0; number < 0 && i < G_N_ELEMENTS(others); i++)
        if (g_ascii_strcasecmp(value, others[i].word) == 0)
            number = vr_enum_parse(e, others[i].wire);
    condition->low = condition->high = number; /* -1, a word that it does not have, is no value */
    return true;
}

static bool init_boolean(struct vr_search_condition *condition, const char *value)
{
    bool yes = g_ascii_strcasecmp(value, "true") == 0;
    condition->low = condition->high = yes;
    return only_equality(condition->relation) && (yes || g_ascii_strcasecmp(value, "false") == 0);
}

static double unit_size(const char *unit)
{
    if (!unit)
        return 1;
    return strcmp(unit, "MB") == 0 ? (double)MiB(1) : strcmp(unit, "GB") == 0 ? (double)GiB(1) : 1;
}

/* "1024", "1.5", "2GB", "50%"; what a bare number counts is the path's unit. */
static bool parse_number(const char *value, const char *unit, double *ret)
{
    static const struct {
        const char *suffix;
        double size;
    } suffixes[] = { { "b", 1 },       { "kb", 1024 },  { "kib", 1024 },    { "mb", 1 << 20 },
                     { "mib", 1 << 20 }, { "gb", 1 << 30 }, { "gib", 1 << 30 }, { "tb", 0x1p40 },
                     { "tib", 0x1p40 } };
    char *end = NULL;
    if (!g_ascii_isdigit(*value) && *value != '-' && *value != '.')
        return false;
    errno = 0;
    double number = g_ascii_strtod(value, &end);
    if (end == value || errno || number != number || number > 9e18 || number < -9e18)
        return false;
    if (!*end || strcmp(end, "%") == 0) {
        *ret = number * unit_size(unit);
        return *ret < 9e18 && *ret > -9e18;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        if (g_ascii_strcasecmp(end, suffixes[i].suffix) == 0) {
            *ret = number * suffixes[i].size;
            return *ret < 9e18 && *ret > -9e18;
        }
    }
    return false;
}

static bool init_number(struct vr_search_condition *condition, const char *value)
{
    const struct vr_search_path *path = &condition->path;
    if (condition->pattern.wild)
        return strcmp(value, "*") == 0 && only_equality(condition->relation);
    char *end = NULL;
    if (!path->unit) { /* whole numbers keep all their digits */
        errno = 0;
        condition->low = condition->high = g_ascii_strtoll(value, &end, 10);
        condition->real = (double)condition->low;
        if (!errno && end != value && !*end)
            return true;
    }
    if (!parse_number(value, path->unit, &condition->real))
        return false;
    condition->low = condition->high = (int64_t)condition->real;
    /* A value counted in whole units is all that rounds down to it. */
    if (path->unit && only_equality(condition->relation))
        condition->high = condition->low + (int64_t)unit_size(path->unit) - 1;
    return true;
}

bool vr_search_condition_init(struct vr_search_condition *condition,
                              const struct vr_search_path *path, enum vr_search_relation relation,
                              const char *value, bool case_sensitive, int64_t now_ms)
{
    condition->path = *path;
    condition->relation = relation;
    vr_search_pattern_init(&condition->pattern, value, case_sensitive);
    switch ((enum vr_field_kind)path->leaf->kind) {
    case VR_FIELD_STRING:
        return only_equality(relation);
    case VR_FIELD_ENUM:
        return init_enum(condition, value);
    case VR_FIELD_BOOLEAN:
        return init_boolean(condition, value);
    case VR_FIELD_INTEGER:
    case VR_FIELD_DOUBLE:
        return init_number(condition, value);
    case VR_FIELD_DATE:
        return vr_search_date(value, now_ms, &condition->low, &condition->high);
    default:
        return false;
    }
}

void vr_search_condition_done(struct vr_search_condition *condition)
{
    vr_search_pattern_done(&condition->pattern);
}

static bool number_fits(const struct vr_search_condition *condition, int64_t number)
{
    switch (condition->relation) {
    case VR_SEARCH_EQ:
    case VR_SEARCH_NE:
        return number >= condition->low && number <= condition->high;
    case VR_SEARCH_LT:
        return number < condition->low;
    case VR_SEARCH_LE:
        return number <= condition->high;
    case VR_SEARCH_GT:
        return number > condition->high;
    case VR_SEARCH_GE:
        return number >= condition->low;
    }
    return false;
}

static bool real_fits(const struct vr_search_condition *condition, double real)
{
    switch (condition->relation) {
    case VR_SEARCH_EQ:
    case VR_SEARCH_NE:
        return real == condition->real;
    case VR_SEARCH_LT:
        return real < condition->real;
    case VR_SEARCH_LE:
        return real <= condition->real;
    case VR_SEARCH_GT:
        return real > condition->real;
    case VR_SEARCH_GE:
        return real >= condition->real;
    }
    return false;
}

static bool value_fits(const struct vr_search_condition *condition,
                       const struct vr_search_value *value)
{
    const struct vr_search_pattern *pattern = &condition->pattern;
    switch ((enum vr_field_kind)value->field->kind) {
    case VR_FIELD_STRING:
        return vr_search_pattern_matches(pattern, value->text);
    case VR_FIELD_ENUM:
        if (pattern->wild) {
            const char *word = vr_enum_word(value->field->sub, (int)value->number);
            g_autofree char *bare = bare_word(word ? word : "");
            return vr_search_pattern_matches(pattern, bare);
        }
        return number_fits(condition, value->number);
    case VR_FIELD_DOUBLE:
        return pattern->wild || real_fits(condition, value->real);
    case VR_FIELD_BOOLEAN:
    case VR_FIELD_DATE:
        return number_fits(condition, value->number);
    case VR_FIELD_INTEGER:
        return pattern->wild || number_fits(condition, value->number);
    default:
        return false;
    }
}

struct look {
    const struct vr_search_condition *condition;
    bool any; /* there was a value */
};

static bool look_at(const struct vr_search_value *value, void *arg)
{
    struct look *look = arg;
    look->any = true;
    return !value_fits(look->condition, value);
}

bool vr_search_condition_matches(const struct vr_search_condition *condition,
                                 struct vr_search_run *run, const void *object)
{
    struct look look = { condition, false };
    bool found = vr_search_path_walk(run, &condition->path, object, look_at, &look);
    /* What is not set is the empty text, and equal to no number. */
    if (!look.any && condition->path.leaf->kind == VR_FIELD_STRING && condition->path.count == 1)
        found = vr_search_pattern_matches(&condition->pattern, "");
    return condition->relation == VR_SEARCH_NE ? !found : found;
}
