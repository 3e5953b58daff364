/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/config.h"
#include "cli/output.h"

#define LINE_MAX_BYTES 1024

/* One line from the terminal, without echo when @secret; owned, wipe it. */
static char *ask(const char *question, bool secret, struct vr_error **error)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        vr_error_set(error, &vr_cli_usage,
                     "There is no terminal to ask '%s' on; give it as an option.", question);
        return NULL;
    }
    struct termios old, quiet;
    bool changed = secret && tcgetattr(fd, &old) == 0;
    if (changed) {
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        changed = tcsetattr(fd, TCSAFLUSH, &quiet) == 0;
    }
    dprintf(fd, "%s: ", question);
    char line[LINE_MAX_BYTES];
    ssize_t got = read(fd, line, sizeof line - 1);
    if (changed) {
        tcsetattr(fd, TCSAFLUSH, &old);
        dprintf(fd, "\n");
    }
    close(fd);
    char *text = NULL;
    if (got > 0) {
        line[got] = '\0';
        line[strcspn(line, "\r\n")] = '\0';
        text = g_strdup(line);
    } else {
        vr_error_set(error, &vr_cli_stopped, NULL);
    }
    explicit_bzero(line, sizeof line);
    return text;
}

/* The first certificate alone: what the fingerprint covers is all that gets trusted. */
static char *first_certificate(const char *pem)
{
    const char *begin = strstr(pem, "-----BEGIN CERTIFICATE-----");
    const char *end = begin ? strstr(begin, "-----END CERTIFICATE-----") : NULL;
    return end ? g_strdup_printf("%.*s\n", (int)(end - begin + 25), begin) : NULL;
}

/* SHA-256 of the certificate in hexadecimal digits; NULL when it is none. */
static char *fingerprint(const char *pem)
{
    const char *body = strchr(pem + 1, '\n');
    const char *end = body ? strstr(body, "-----END") : NULL;
    if (!end)
        return NULL;
    g_autofree char *base64 = g_strndup(body, (gsize)(end - body));
    gsize size = 0;
    g_autofree guchar *bytes = g_base64_decode(base64, &size);
    return size ? g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes, size) : NULL;
}

static char *only_digits(const char *text)
{
    GString *out = g_string_new(NULL);
    for (const char *c = text; *c; c++)
        if (g_ascii_isxdigit(*c))
            g_string_append_c(out, g_ascii_tolower(*c));
    return g_string_free(out, FALSE);
}

static bool fetch_ca(struct vr_http *http, const char *url, bool untrusted,
                     struct vr_http_answer *answer, struct vr_error **error)
{
    g_autofree char *full = g_strconcat(url, "/ca.crt", NULL);
    const struct vr_http_request request = { .method = "GET", .url = full, .cap = KiB(256),
                                             .seconds = 60, .untrusted = untrusted };
    return vr_http_perform(http, &request, answer, error);
}

/* The Manager's own authority, after a person or --fingerprint vouched for it. */
static char *vouched_ca(const char *url, const char *wanted, struct vr_error **error)
{
    struct vr_http *http = vr_http_new(NULL, error);
    struct vr_http_answer answer = { 0 };
    if (!http || !fetch_ca(http, url, true, &answer, error)) {
        vr_http_answer_done(&answer);
        vr_http_free(http);
        return NULL;
    }
    char *pem = answer.status == 200 ? first_certificate(answer.body->str) : NULL;
    vr_http_answer_done(&answer);
    vr_http_free(http);
    g_autofree char *found = pem ? fingerprint(pem) : NULL;
    bool good = false;
    if (!found) {
        vr_error_set(error, &vr_cli_connect,
                     "%s/ca.crt is no certificate; give the authority with --ca-file.", url);
    } else if (wanted) {
        g_autofree char *digits = only_digits(wanted);
        good = strcmp(digits, found) == 0;
        if (!good)
            vr_error_set(error, &vr_cli_connect,
                         "The authority's fingerprint is %s, not the one that was given: either it "
                         "was renewed, or somebody is in between.", found);
    } else {
        g_autofree char *question = g_strdup_printf(
            "The authority of %s is not known here. Its SHA-256 fingerprint is\n  %s\n"
            "Compare it with the Manager's. Trust it (yes/no)", url, found);
        g_autofree char *said = ask(question, false, error);
        good = said && g_ascii_strcasecmp(said, "yes") == 0;
        if (said && !good)
            vr_error_set(error, &vr_cli_connect, "The authority is not trusted.");
    }
    if (!good)
        g_clear_pointer(&pem, g_free);
    return pem;
}

/* Fills config->ca, NULL where the system's authorities do. */
static bool settle_trust(const struct vr_cli *cli, struct vr_cli_config *config,
                         struct vr_error **error)
{
    const char *file = vr_client_setting(cli, VR_CLI_CA_FILE);
    const char *wanted = vr_cli_value(cli, VR_CLI_FINGERPRINT);
    if (file || wanted) {
        g_free(config->ca);
        config->ca = file ? vr_client_read_ca(file, error) : vouched_ca(config->url, wanted, error);
        return config->ca != NULL;
    }
    if (config->ca)
        return true;
    struct vr_http_answer answer = { 0 };
    struct vr_http *http = vr_http_new(NULL, error);
    bool good = http && fetch_ca(http, config->url, false, &answer, error);
    bool distrust = answer.distrust;
    vr_http_answer_done(&answer);
    vr_http_free(http);
    int tty = distrust ? open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY) : -1;
    if (good || tty < 0)
        return good;
    close(tty);
    vr_error_free(*error);
    *error = NULL;
    config->ca = vouched_ca(config->url, NULL, error);
    return config->ca != NULL;
}

static bool settle_url(const struct vr_cli *cli, struct vr_cli_config *config,
                       struct vr_error **error)
{
    const char *given = vr_cli_arg(cli, 0);
    given = given ? given : vr_client_setting(cli, VR_CLI_URL);
    g_autofree char *asked = NULL;
    if (!given && !config->url) {
        asked = ask("Address of the Manager", false, error);
        if (!asked)
            return false;
        given = asked;
    }
    if (!given)
        return true;
    g_autofree char *url = vr_http_origin(given, error);
    if (!url)
        return false;
    if (g_strcmp0(url, config->url) != 0)
        vr_cli_config_done(config);
    g_free(config->url);
    config->url = g_steal_pointer(&url);
    return true;
}

static bool settle_user(const struct vr_cli *cli, struct vr_cli_config *config,
                        struct vr_error **error)
{
    const char *given = vr_client_setting(cli, VR_CLI_USER);
    if (given) {
        g_free(config->user);
        config->user = g_strdup(given);
    } else if (!config->user) {
        config->user = ask("User, as in admin@internal", false, error);
    }
    return config->user != NULL;
}

static bool take_token(const struct vr_cli *cli, struct vr_cli_config *config,
                       struct vr_error **error)
{
    const char *file = vr_client_setting(cli, VR_CLI_PASSWORD_FILE);
    g_autofree char *question = g_strdup_printf("Password of %s", config->user);
    char *password = file ? vr_client_read_password(file, error) : ask(question, true, error);
    if (!password)
        return false;
    struct vr_http *http = vr_http_new(config->ca, error);
    char *token = http ? vr_client_get_token(http, config->url, config->user, password, error)
                       : NULL;
    vr_client_wipe(password);
    vr_http_free(http);
    vr_client_wipe(config->token);
    config->token = token;
    return token != NULL;
}

bool vr_cli_login_run(struct vr_cli *cli, struct vr_error **error)
{
    struct vr_cli_config config = { 0 };
    bool done = vr_cli_config_load(&config, error) && settle_url(cli, &config, error) &&
                settle_trust(cli, &config, error) && settle_user(cli, &config, error) &&
                take_token(cli, &config, error) && vr_cli_config_save(&config, error);
    if (done && !vr_cli_value(cli, VR_CLI_QUIET))
        fprintf(stderr, "Logged in to %s as %s.\n", config.url, config.user);
    vr_client_wipe(g_steal_pointer(&config.token));
    vr_cli_config_done(&config);
    return done;
}

bool vr_cli_logout_run(struct vr_cli *cli, struct vr_error **error)
{
    struct vr_cli_config config = { 0 };
    (void)cli;
    if (!vr_cli_config_load(&config, error))
        return false;
    if (!config.token) {
        vr_cli_config_done(&config);
        vr_error_set(error, &vr_cli_login, "There is no session to end.");
        return false;
    }
    /* Forgotten here first, so that it is gone whatever the Manager says. */
    char *token = g_steal_pointer(&config.token);
    struct vr_http *http = NULL;
    bool done = vr_cli_config_save(&config, error) && (http = vr_http_new(config.ca, error)) &&
                vr_client_end_token(http, config.url, token, error);
    vr_http_free(http);
    vr_client_wipe(token);
    vr_cli_config_done(&config);
    return done;
}
