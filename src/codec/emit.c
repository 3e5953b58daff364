/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/emit.h"

#include <stdlib.h>

void vr_emit_integer(GString *out, int64_t number)
{
    char text[24];
    char *at = text + sizeof(text);
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0)
        *--at = '-';
    vr_emit(out, at, (size_t)(text + sizeof(text) - at));
}

/* The digits of the shortest "d.ddde±xx" that reads back the same; returns the exponent. */
static int shortest_digits(double number, char digits[24])
{
    char text[40];
    for (int precision = 14; precision <= 16; precision++) {
        char format[8];
        g_snprintf(format, sizeof(format), "%%.%de", precision);
        g_ascii_formatd(text, sizeof(text), format, number);
        if (g_ascii_strtod(text, NULL) == number)
            break;
    }
    unsigned count = 0;
    const char *at = text;
    for (; *at != 'e'; at++) {
        if (g_ascii_isdigit(*at))
            digits[count++] = *at;
    }
    while (count > 1 && digits[count - 1] == '0')
        count--;
    digits[count] = '\0';
    return atoi(at + 1);
}

void vr_emit_double(GString *out, double number)
{
    /* Clients want dot notation (facts/rest-api.md 2.3); beyond these exponents it is absurd. */
    enum { SMALLEST = -9, LARGEST = 20 };
    if (number == (double)(int64_t)CLAMP(number, -1e15, 1e15)) {
        vr_emit_integer(out, (int64_t)number);
        return;
    }
    char digits[24];
    if (number < 0) {
        vr_emit_char(out, '-');
        number = -number;
    }
    int exponent = shortest_digits(number, digits);
    int count = (int)strlen(digits);
    if (exponent < SMALLEST || exponent > LARGEST) {
        vr_emit(out, digits, 1);
        if (count > 1) {
            vr_emit_char(out, '.');
            vr_emit_text(out, digits + 1);
        }
        vr_emit_char(out, 'e');
        vr_emit_integer(out, exponent);
        return;
    }
    if (exponent < 0) {
        VR_EMIT_LITERAL(out, "0.");
        for (int i = exponent; i < -1; i++)
            vr_emit_char(out, '0');
        vr_emit_text(out, digits);
        return;
    }
    for (int i = 0; i <= exponent; i++)
        vr_emit_char(out, i < count ? digits[i] : '0');
    if (count > exponent + 1) {
        vr_emit_char(out, '.');
        vr_emit_text(out, digits + exponent + 1);
    }
}
