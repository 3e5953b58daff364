/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "manager"

/*
 * vireo-managerd: the database, the engine, and the interface on top, in this
 * order.  It ends at once when it is told to: whatever it was doing goes on
 * at its next start.
 */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "manager/access/access.h"
#include "manager/deploy/pages.h"
#include "manager/deploy/site.h"
#include "manager/engine/real.h"
#include "manager/main/openapi.h"
#include "manager/main/service.h"
#include "manager/main/settings.h"
#include "manager/register/pages.h"
#include "manager/rest/rest.h"
#include "manager/session/journal.h"
#include "manager/session/password.h"
#include "setup/pgcluster.h"
#include "setup/pki.h"

#ifndef VR_VERSION
#define VR_VERSION "0.1.0"
#endif
/* What clients compare with: the level of the interface, and our own version as its build. */
#define API_VERSION "4.5.6"
#define DATABASE_WAIT_MS 60000

struct manager {
    struct vr_settings *settings;
    struct vr_config *config;
    struct vr_pgcluster *cluster;
    struct vr_inventory *committed;
    struct vr_statistics *statistics;
    struct vr_deploy_site *site;
    char *host_certificate; /* PEM, or NULL */
    struct vr_real *real;
    struct vr_sessions *sessions;
    struct vr_rest *rest;
};

static char *database_of(struct manager *manager, struct vr_error **error)
{
    const struct vr_settings *settings = manager->settings;
    if (settings->database_url)
        return g_strdup(settings->database_url);
    const struct vr_pgcluster_options options = { .directory = settings->database_dir };
    manager->cluster = vr_pgcluster_start(&options, error);
    if (!manager->cluster ||
        !vr_pgcluster_wait_ready(manager->cluster, 0, DATABASE_WAIT_MS, error))
        return NULL;
    return vr_pgcluster_conninfo(manager->cluster);
}

/* What the Manager has for hosts that join. */
static bool make_site(struct manager *manager, struct vr_error **error)
{
    const struct vr_settings *settings = manager->settings;
    g_autofree char *key = NULL;
    struct vr_pki_certificate https = { 0 };
    if (!vr_settings_host_identity(settings, &manager->host_certificate, &key, error) ||
        !vr_pki_describe(settings->https_certificate, &https, error))
        return false;
    const struct vr_deploy_site_options options = {
        .config = manager->config,
        .authority = settings->host_authority,
        .ca = settings->https_ca,
        .https_certificate = settings->https_certificate,
        .certificate = manager->host_certificate,
        .key = key,
        .packages = settings->packages_dir,
        .name = settings->https_name ? settings->https_name : https.common_name,
    };
    manager->site = vr_deploy_site_new(&options);
    vr_pki_certificate_clear(&https);
    if (key)
        explicit_bzero(key, strlen(key));
    return true;
}

static bool start_engine(struct manager *manager, struct vr_error **error)
{
    const struct vr_settings *settings = manager->settings;
    g_autofree char *database = database_of(manager, error);
    if (!database)
        return false;
    struct vr_tls *tls = NULL;
    if (settings->host_certificate) {
        tls = vr_tls_new(settings->host_ca, settings->host_certificate, settings->host_key, error);
        if (!tls)
            return false;
    }
    manager->committed = vr_inventory_new(true);
    manager->statistics = vr_statistics_new();
    const struct vr_real_options options = {
        .config = manager->config,
        .committed = manager->committed,
        .statistics = manager->statistics,
        .database = database,
        .tls = tls,
        .errand = vr_deploy_site_run,
        .errand_arg = manager->site,
    };
    manager->real = vr_real_new(&options, error);
    if (tls)
        vr_tls_unref(tls);
    if (!manager->real)
        return false;
    vr_real_start(manager->real);
    return true;
}

/* --- the administrator's password --- */

struct password_job {
    const char *hash;
    GMutex mutex;
    GCond done;
    bool is_done;
};

static void password_set(struct vr_engine *engine, void *arg)
{
    struct password_job *job = arg;
    g_mutex_lock(&job->mutex);
    job->is_done = true;
    g_cond_signal(&job->done);
    g_mutex_unlock(&job->mutex);
}

static void set_password(struct vr_engine *engine, void *arg) VR_NO_THREAD_SAFETY
{
    struct password_job *job = arg;
    vr_access_set_admin_password(engine, job->hash, password_set, job);
}

/* At the first start, and when somebody left a marker that asks for it. */
static bool set_admin_password(struct manager *manager, struct vr_error **error)
{
    const struct vr_settings *settings = manager->settings;
    bool reset = settings->password_reset && access(settings->password_reset, F_OK) == 0;
    if (!settings->password_file ||
        (!reset && vr_access_admin_has_password(manager->committed)))
        return true;
    g_autofree char *password = vr_settings_password(settings, error);
    if (!password)
        return false;
    g_autofree char *hash = vr_password_hash(password);
    explicit_bzero(password, strlen(password));
    if (!hash) {
        vr_error_set(error, &vr_fault_bad_request, "The password in %s is too long.",
                     settings->password_file);
        return false;
    }
    struct password_job job = { .hash = hash };
    g_mutex_init(&job.mutex);
    g_cond_init(&job.done);
    g_mutex_lock(&job.mutex);
    vr_engine_post(vr_real_engine(manager->real), set_password, &job);
    while (!job.is_done)
        g_cond_wait(&job.done, &job.mutex);
    g_mutex_unlock(&job.mutex);
    if (reset && unlink(settings->password_reset) < 0)
        vr_log_warning("Cannot remove %s: %s.", settings->password_reset, g_strerror(errno));
    return true;
}

/* --- the interface --- */

static void tell(const struct vr_session_news *news, void *arg)
{
    struct manager *manager = arg;
    vr_session_journal(news, vr_real_engine(manager->real), vr_engine_post);
}

static void begin_call(struct vr_engine *engine, void *arg) VR_NO_THREAD_SAFETY
{
    vr_call_begin(engine, arg);
}

static void post_call(struct vr_call *call, void *arg)
{
    struct manager *manager = arg;
    vr_engine_post(vr_real_engine(manager->real), begin_call, call);
}

static bool database_up(void *arg)
{
    struct manager *manager = arg;
    return vr_store_up(vr_real_store(manager->real), NULL);
}

static bool start_rest(struct manager *manager, struct vr_error **error)
{
    const struct vr_settings *settings = manager->settings;
    const struct vr_config *config = manager->config;
    const struct vr_sessions_options sessions = {
        .inventory = manager->committed,
        .token_idle_ms = config->SsoTokenIdleSeconds * 1000,
        .session_idle_ms = config->UserSessionTimeOutInterval * 60 * 1000,
        .session_hard_ms = config->UserSessionHardLimit * 60 * 1000,
        .lock_failures = (unsigned)config->AccountLockFailures,
        .lock_ms = config->AccountLockMinutes * 60 * 1000,
        .tell = tell,
        .tell_arg = manager,
    };
    manager->sessions = vr_sessions_new(&sessions);
    struct vr_register_pages *registration =
        vr_register_pages_new(vr_real_engine(manager->real), settings->https_ca,
                              vr_deploy_site_ssh_key(manager->site));
    const struct vr_page pages[] = {
        { VR_DEPLOY_PACKAGE_PATH "/", vr_deploy_serve_package, manager->site },
        { VR_REGISTER_PATH, vr_register_serve, registration },
        { VR_RENEW_PATH, vr_register_serve_renewal, registration },
        { 0 },
    };
    const struct vr_rest_options options = {
        .server = {
            .address = settings->https_address,
            .port = settings->https_port,
            .certificate = settings->https_certificate,
            .key = settings->https_key,
            .body_max = (size_t)config->MaxRequestBodyMB << 20,
            .connections = VR_SERVICE_CLIENTS,
        },
        .inventory = manager->committed,
        .statistics = manager->statistics,
        .config = config,
        .sessions = manager->sessions,
        .ca = settings->https_ca,
        .certificate = settings->https_certificate,
        .manager_certificate = manager->host_certificate,
        .pages = g_memdup2(pages, sizeof(pages)), /* lives as long as the program */
        .instance_id = vr_store_instance_id(vr_real_store(manager->real)),
        .version = API_VERSION,
        .openapi = vr_openapi,
        .post = post_call,
        .post_arg = manager,
        .database_up = database_up,
        .database_arg = manager,
    };
    manager->rest = vr_rest_start(&options, error);
    if (manager->rest)
        vr_deploy_site_set_port(manager->site, vr_rest_port(manager->rest));
    return manager->rest != NULL;
}

static bool start(struct manager *manager, struct vr_error **error)
{
    manager->config = vr_config_new();
    return vr_settings_apply(manager->settings, manager->config, error) &&
           make_site(manager, error) && start_engine(manager, error) && set_admin_password(manager, error) &&
           start_rest(manager, error) &&
           vr_settings_write_port(manager->settings, vr_rest_port(manager->rest), error);
}

static void answer(struct vr_engine *engine, void *arg)
{
    g_atomic_int_inc((gint *)arg);
}

static void ask_engine(gint *answered, void *arg)
{
    struct manager *manager = arg;
    vr_engine_post(vr_real_engine(manager->real), answer, answered);
}

static void report(struct vr_error *error)
{
    g_autofree char *text = vr_error_text(error);
    vr_log_error("%s", text);
}

/* The threads that are left do no harm: what they have not committed was never answered. */
static _Noreturn void leave(struct manager *manager, int status)
{
    vr_pgcluster_stop(manager->cluster);
    fflush(NULL);
    _exit(status);
}

int main(int argc, char **argv)
{
    g_autofree char *path = NULL;
    gboolean version = FALSE, check = FALSE;
    const GOptionEntry entries[] = {
        { "config", 'c', 0, G_OPTION_ARG_FILENAME, &path, "the configuration", "FILE" },
        { "check", 0, 0, G_OPTION_ARG_NONE, &check, "read the configuration and end", NULL },
        { "version", 0, 0, G_OPTION_ARG_NONE, &version, "print the version and end", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- the Manager");
    g_autoptr(GError) wrong = NULL;
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &wrong)) {
        fprintf(stderr, "vireo-managerd: %s\n", wrong->message);
        return 2;
    }
    if (version) {
        printf("vireo-managerd %s\n", VR_VERSION);
        return 0;
    }
    vr_auto_error struct vr_error *error = NULL;
    struct manager manager = { 0 };
    manager.settings = vr_settings_read(path ? path : "/etc/vireo/manager.conf", &error);
    if (!manager.settings || check) {
        if (error)
            report(error);
        vr_settings_free(manager.settings);
        return error ? 2 : 0;
    }
    vr_log_set_level(manager.settings->log_level);
    uint64_t files = vr_service_raise_files();

    /* Before there is any other thread, so that this one alone gets them. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    if (!start(&manager, &error)) {
        report(error);
        leave(&manager, 1);
    }
    vr_log_info("The Manager answers on port %u.", vr_rest_port(manager.rest));
    vr_service_warn_files(files, vr_inventory_count(manager.committed, VR_KIND_HOST));
    sd_notify(0, "READY=1");
    int signal_number = vr_service_wait(&signals, ask_engine, &manager);
    vr_log_info("The Manager ends: %s.", strsignal(signal_number));
    sd_notify(0, "STOPPING=1");
    leave(&manager, 0);
}
