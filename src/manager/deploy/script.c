/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/deploy/internal.h"

#include "gen/faults.h"

#define TEXT_MAX 500

char *deploy_script(const char *body, const char *const *pairs)
{
    GString *text = g_string_new(NULL);
    for (; pairs && pairs[0]; pairs += 2) {
        g_autofree char *value = g_shell_quote(pairs[1] ? pairs[1] : "");
        g_string_append_printf(text, "%s=%s\n", pairs[0], value);
    }
    g_string_append(text, deploy_sh_common);
    g_string_append(text, body);
    return g_string_free(text, FALSE);
}

char *deploy_clean(const char *text, size_t length)
{
    g_autofree char *valid = g_utf8_make_valid(text, (gssize)MIN(length, 4 * TEXT_MAX));
    GString *clean = g_string_new(NULL);
    bool blank = true;
    for (const char *c = valid; *c && clean->len < TEXT_MAX; c = g_utf8_next_char(c)) {
        gunichar letter = g_utf8_get_char(c);
        bool gap = !g_unichar_isprint(letter) || g_unichar_isspace(letter);
        if (!gap)
            g_string_append_unichar(clean, letter);
        else if (!blank)
            g_string_append_c(clean, ' ');
        blank = gap;
    }
    g_strchomp(clean->str);
    return g_string_free(clean, FALSE);
}

/* The last line that is not empty. */
static char *last_line(const GString *text)
{
    size_t end = text->len;
    while (end > 0 && g_ascii_isspace(text->str[end - 1]))
        end--;
    size_t begin = end;
    while (begin > 0 && text->str[begin - 1] != '\n')
        begin--;
    return deploy_clean(text->str + begin, end - begin);
}

/* What stands behind @word in the lines of @text that begin with it, joined; or NULL. */
static char *collect(const GString *text, const char *word)
{
    GString *found = NULL;
    size_t length = strlen(word);
    for (const char *line = text->str, *end = text->str + text->len; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t size = (size_t)((stop ? stop : end) - line);
        if (size > length && strncmp(line, word, length) == 0 && line[length] == ' ') {
            g_autofree char *clean = deploy_clean(line + length + 1, size - length - 1);
            if (!found)
                found = g_string_new(clean);
            else if (found->len < TEXT_MAX)
                g_string_append_printf(found, "; %s", clean);
        }
        line += size + 1;
    }
    return found ? g_string_free(found, FALSE) : NULL;
}

bool deploy_script_verdict(const struct vr_ssh_answer *answer, const char *what, char **ret_notes,
                           struct vr_error **error)
{
    if (answer->outcome != VR_SSH_DONE) {
        g_autofree char *message =
            deploy_clean(answer->message ? answer->message : "", answer->message
                                                                     ? strlen(answer->message)
                                                                     : 0);
        vr_error_set(error, &vr_fault_host_install_failed, "%s", message);
        return false;
    }
    if (answer->exit_status == 0) {
        if (ret_notes)
            *ret_notes = collect(answer->output, "note");
        return true;
    }
    g_autofree char *reason = collect(answer->output, "problem");
    g_autofree char *noise = last_line(answer->noise);
    if (reason)
        vr_error_set(error, &vr_fault_host_install_failed, "%s", reason);
    else if (answer->exit_status < 0)
        vr_error_set(error, &vr_fault_host_install_failed, "%s was killed on the host: %s", what,
                     noise);
    else
        vr_error_set(error, &vr_fault_host_install_failed, "%s ended with status %d on the host: %s",
                     what, answer->exit_status, noise);
    return false;
}
