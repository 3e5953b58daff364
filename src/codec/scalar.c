/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/scalar.h"

#include "codec/codec.h"
#include "gen/faults.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

const struct vr_codec_caps vr_codec_caps_api = { .depth = 64, .bytes = MiB(8), .items = 1000000 };
const struct vr_codec_caps vr_codec_caps_host = { .depth = 64,
                                                  .bytes = MiB(64),
                                                  .items = 10000000 };

struct vr_scalar vr_scalar_of_member(const struct vr_field *field, const void *member)
{
    switch ((enum vr_field_kind)field->kind) {
    case VR_FIELD_BOOLEAN:
        return (struct vr_scalar){ .integer = *(const bool *)member };
    case VR_FIELD_INTEGER:
    case VR_FIELD_DATE:
        return (struct vr_scalar){ .integer = *(const int64_t *)member };
    case VR_FIELD_DOUBLE:
        return (struct vr_scalar){ .real = *(const double *)member };
    case VR_FIELD_ENUM:
        return (struct vr_scalar){ .integer = *(const int *)member };
    case VR_FIELD_STRING:
    case VR_FIELD_JSON:
    case VR_FIELD_STRUCT:
    case VR_FIELD_LINK:
        return (struct vr_scalar){ .owned = *(void *const *)member };
    }
    g_assert_not_reached();
}

struct vr_scalar vr_scalar_of_item(const struct vr_field *field, const void *item)
{
    if (vr_kind_is_text(field->kind) || vr_kind_is_object(field->kind))
        return (struct vr_scalar){ .owned = (void *)(uintptr_t)item };
    if (field->kind == VR_FIELD_DOUBLE)
        return (struct vr_scalar){ .real = vr_item_to_double(item) };
    return (struct vr_scalar){ .integer = VR_ITEM_NUMBER(item) };
}

bool vr_scalar_is_writable(const struct vr_field *field, const struct vr_scalar *scalar)
{
    switch ((enum vr_field_kind)field->kind) {
    case VR_FIELD_BOOLEAN:
    case VR_FIELD_INTEGER:
    case VR_FIELD_DATE:
        return true;
    case VR_FIELD_DOUBLE:
        return isfinite(scalar->real);
    case VR_FIELD_ENUM:
        return vr_enum_word(field->sub, (int)scalar->integer) != NULL;
    case VR_FIELD_STRING:
    case VR_FIELD_JSON:
    case VR_FIELD_STRUCT:
    case VR_FIELD_LINK:
        return scalar->owned != NULL;
    }
    g_assert_not_reached();
}

void vr_scalar_to_member(void *object, const struct vr_field *field, const struct vr_scalar *from)
{
    void *member = vr_member_at(object, field);
    switch ((enum vr_field_kind)field->kind) {
    case VR_FIELD_BOOLEAN:
        *(bool *)member = from->integer != 0;
        break;
    case VR_FIELD_INTEGER:
    case VR_FIELD_DATE:
        *(int64_t *)member = from->integer;
        break;
    case VR_FIELD_DOUBLE:
        *(double *)member = from->real;
        break;
    case VR_FIELD_ENUM:
        *(int *)member = (int)from->integer;
        break;
    case VR_FIELD_STRING:
    case VR_FIELD_JSON:
    case VR_FIELD_STRUCT:
    case VR_FIELD_LINK:
        *(void **)member = from->owned;
        break;
    }
    vr_set_has(object, field, true);
}

void *vr_scalar_to_item(const struct vr_field *field, const struct vr_scalar *from)
{
    if (vr_kind_is_text(field->kind) || vr_kind_is_object(field->kind))
        return from->owned;
    if (field->kind == VR_FIELD_DOUBLE)
        return vr_item_from_double(from->real);
    return VR_ITEM(from->integer);
}

/* A copy of @text to quote in a message: of a whole number of characters, not too long. */
static char *excerpt(const char *text, size_t length)
{
    enum { LONGEST = 200 };
    if (length <= LONGEST)
        return g_strndup(text, length);
    const char *end = g_utf8_find_prev_char(text, text + LONGEST);
    return g_strdup_printf("%.*s...", (int)(end - text), text);
}

static bool refuse(struct vr_error **error, const char *what, const char *text, size_t length)
{
    if (error) {
        g_autofree char *quoted = excerpt(text, length);
        vr_error_set(error, &vr_fault_invalid_value, "The string '%s' isn't a valid %s.", quoted,
                     what);
    }
    return false;
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool refuse_word(struct vr_error **error, const struct vr_enum *e, const char *text,
                        size_t length)
{
    if (!error)
        return false;
    g_autofree char *quoted = excerpt(text, length);
    g_autofree const char **words = g_memdup2(e->words, e->count * sizeof(*words));
    qsort(words, e->count, sizeof(*words), compare_words);
    g_autoptr(GString) valid = g_string_new(NULL);
    for (unsigned i = 0; i < e->count; i++)
        g_string_append_printf(valid, "%s'%s'", i ? ", " : "", words[i]);
    g_autoptr(GString) name = g_string_new(NULL); /* vm_type is called VmType in messages */
    bool upper = true;
    for (const char *c = e->name; *c; c++) {
        if (*c != '_')
            g_string_append_c(name, upper ? g_ascii_toupper(*c) : *c);
        upper = *c == '_';
    }
    vr_error_set(error, &vr_fault_invalid_value,
                 "The string '%s' isn't a valid value for the '%s' enumerated type. "
                 "Valid values are: %s.",
                 quoted, name->str, valid->str);
    return false;
}

static bool refuse_range(struct vr_error **error, const char *text, size_t length, bool above,
                         const char *what, int64_t limit)
{
    if (error) {
        g_autofree char *quoted = excerpt(text, length);
        vr_error_set(error, &vr_fault_invalid_value,
                     "Value %s is %s than %simum %s %" G_GINT64_FORMAT, quoted,
                     above ? "greater" : "less", above ? "max" : "min", what, limit);
    }
    return false;
}

static void strip(const char **text, size_t *length)
{
    while (*length && g_ascii_isspace((*text)[0])) {
        (*text)++;
        (*length)--;
    }
    while (*length && g_ascii_isspace((*text)[*length - 1]))
        (*length)--;
}

enum digits { DIGITS_OK, DIGITS_MALFORMED, DIGITS_ABOVE, DIGITS_BELOW };

/* A sign and decimal digits, nothing else. */
static enum digits parse_digits(const char *text, size_t length, int64_t *number)
{
    size_t i = length && (text[0] == '-' || text[0] == '+');
    bool negative = i && text[0] == '-';
    bool overflow = false;
    int64_t sum = 0; /* negative: the range is larger by one there */
    if (i == length)
        return DIGITS_MALFORMED;
    for (; i < length; i++) {
        if (!g_ascii_isdigit(text[i]))
            return DIGITS_MALFORMED;
        overflow = overflow || __builtin_mul_overflow(sum, 10, &sum) ||
                   __builtin_sub_overflow(sum, text[i] - '0', &sum);
    }
    if (!overflow && !negative && sum == INT64_MIN)
        overflow = true;
    if (overflow)
        return negative ? DIGITS_BELOW : DIGITS_ABOVE;
    *number = negative ? sum : -sum;
    return DIGITS_OK;
}

/* Decimal notation with an optional fraction and exponent; no names, no hexadecimal. */
static bool parse_real(const char *text, size_t length, double *number)
{
    char copy[512]; /* more digits than any double needs in either notation */
    if (length == 0 || length >= sizeof(copy))
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!g_ascii_isdigit(text[i]) && !memchr("+-.eE", text[i], 5))
            return false;
        copy[i] = text[i];
    }
    copy[length] = '\0';
    char *end;
    double value = g_ascii_strtod(copy, &end);
    if (end != copy + length || !isfinite(value))
        return false;
    *number = value;
    return true;
}

/* What integers a field takes: 32 bits on the API unless it is wide (facts/rest-api.md 2.3). */
static void integer_limits(const struct vr_field *field, enum vr_scalar_rules rules, int64_t *low,
                           int64_t *high)
{
    bool wide = field->flags & VR_FIELD_WIDE || rules == VR_SCALAR_OTHER;
    bool natural = field->flags & VR_FIELD_UNSIGNED && rules != VR_SCALAR_OTHER;
    *low = natural ? 0 : wide ? INT64_MIN : INT32_MIN;
    *high = wide ? INT64_MAX : natural ? UINT32_MAX : INT32_MAX;
}

static bool parse_integer(const struct vr_field *field, const char *text, size_t length,
                          enum vr_scalar_rules rules, int64_t *number, struct vr_error **error)
{
    int64_t low, high;
    integer_limits(field, rules, &low, &high);
    const char *what = high > UINT32_MAX ? "long" : "integer";
    enum digits digits = parse_digits(text, length, number);
    double real;
    /* JavaScript and Python clients may write 1e9 or 2.0 for a whole number. */
    if (digits == DIGITS_MALFORMED && parse_real(text, length, &real) && real == trunc(real) &&
        fabs(real) <= 9007199254740992.0) {
        *number = (int64_t)real;
        digits = DIGITS_OK;
    }
    if (digits == DIGITS_MALFORMED)
        return refuse(error, "integer", text, length);
    if (digits == DIGITS_ABOVE || (digits == DIGITS_OK && *number > high))
        return refuse_range(error, text, length, true, what, high);
    if (digits == DIGITS_BELOW || *number < low)
        return refuse_range(error, text, length, false, what, low);
    return true;
}

static bool parse_boolean(const char *text, size_t length, int64_t *number, struct vr_error **error)
{
    if ((length == 4 && g_ascii_strncasecmp(text, "true", 4) == 0) ||
        (length == 1 && text[0] == '1'))
        *number = 1;
    else if ((length == 5 && g_ascii_strncasecmp(text, "false", 5) == 0) ||
             (length == 1 && text[0] == '0'))
        *number = 0;
    else
        return refuse(error, "boolean; use 'true' or 'false'", text, length);
    return true;
}

/* The API takes the years that all its clients can read: 1 to 9999. */
static bool parse_date(const char *text, size_t length, enum vr_scalar_rules rules, int64_t *number,
                       struct vr_error **error)
{
    static const int64_t first = INT64_C(-62135596800000), last = INT64_C(253402300799999);
    if (rules != VR_SCALAR_API_XML && parse_digits(text, length, number) == DIGITS_OK &&
        (rules == VR_SCALAR_OTHER || (*number >= first && *number <= last)))
        return true;
    char copy[48];
    if (length < sizeof(copy)) {
        memcpy(copy, text, length);
        copy[length] = '\0';
        if (vr_date_parse(copy, number) &&
            (rules == VR_SCALAR_OTHER || (*number >= first && *number <= last)))
            return true;
    }
    return refuse(error, "date and time", text, length);
}

static bool parse_word(const struct vr_enum *e, const char *text, size_t length, int64_t *number,
                       struct vr_error **error)
{
    char copy[128];
    if (length >= sizeof(copy))
        return refuse_word(error, e, text, length);
    memcpy(copy, text, length);
    copy[length] = '\0';
    int value = vr_enum_parse(e, copy);
    if (value < 0)
        return refuse_word(error, e, text, length);
    *number = value;
    return true;
}

bool vr_scalar_parse(const struct vr_field *field, const char *text, size_t length,
                     enum vr_scalar_rules rules, struct vr_scalar *value, struct vr_error **error)
{
    *value = (struct vr_scalar){ 0 };
    if (field->kind == VR_FIELD_STRING) {
        value->owned = g_strndup(text, length);
        return true;
    }
    strip(&text, &length);
    switch ((enum vr_field_kind)field->kind) {
    case VR_FIELD_BOOLEAN:
        return parse_boolean(text, length, &value->integer, error);
    case VR_FIELD_INTEGER:
        return parse_integer(field, text, length, rules, &value->integer, error);
    case VR_FIELD_DOUBLE:
        return parse_real(text, length, &value->real) || refuse(error, "number", text, length);
    case VR_FIELD_DATE:
        return parse_date(text, length, rules, &value->integer, error);
    case VR_FIELD_ENUM:
        return parse_word(field->sub, text, length, &value->integer, error);
    case VR_FIELD_STRING:
    case VR_FIELD_JSON:
    case VR_FIELD_STRUCT:
    case VR_FIELD_LINK:
        break;
    }
    g_assert_not_reached();
}
