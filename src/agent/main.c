/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "agent"
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/enroll/renewal.h"
#include "agent/doctor/doctor.h"
#include "agent/image/image.h"
#include "agent/verbs/storage.h"
#include "agent/verbs/verbs.h"
#include "net/tls.h"

/*
 * vireo-agentd: the agent of one host.
 *
 * The main thread runs the loop of the sockets.  Nothing is saved at the end:
 * kill -9 and SIGTERM leave the same behind, and machines run on.
 */

static const char usage[] =
    "vireo-agentd: the agent of one host\n"
    "\n"
    "  --config FILE   read FILE (default /etc/vireo/agent.conf, if it exists)\n"
    "  --version       print the version\n"
    "  --help          print this\n"
    "\n"
    "  register        ask a Manager to take this machine as a host\n"
    "  enroll          the host's key and certificate\n"
    "  doctor          what is wrong with this host; --mend mends what it can\n"
    "                  all of them explain themselves with --help\n";

#define DEFAULT_CONFIG "/etc/vireo/agent.conf"

struct program {
    struct vr_agent_config *config;
    struct vr_loop *loop;
    struct vr_tls *tls;
    struct vr_agent agent;
    struct vr_domains_hooks hooks;
    struct vr_image_daemon *images;
    struct vr_timer *recovery, *watchdog;
    uint64_t watchdog_ms; /* between two signs of life; 0: nobody waits for them */
    struct vr_watch *signals;
    int signal_fd;
    int64_t images_expire; /* the certificate that the image daemon began with; 0: not known */
};

/* While recovery lasts, every verb answers 99; the supervisor says when it is over. */
#define RECOVERY_POLL_MS 50

static void poll_recovery(void *arg)
{
    struct program *program = arg;
    if (!vr_domains_ready(program->agent.domains)) {
        vr_timer_arm(program->recovery, RECOVERY_POLL_MS, 0);
        return;
    }
    vr_rpc_server_set_recovering(program->agent.server, false);
    vr_log_info("Recovery is over.");
}

/* systemd kills and restarts an agent whose loop stands still.  Lanes and helpers may hang on
 * storage for minutes, which a restart would not mend; they do not count. */
static void feed_watchdog(void *arg)
{
    struct program *program = arg;
    sd_notify(0, "WATCHDOG=1");
    vr_timer_arm(program->watchdog, program->watchdog_ms, 0);
}

static void start_watchdog(struct program *program)
{
    uint64_t usec = 0;
    if (sd_watchdog_enabled(0, &usec) <= 0)
        return;
    program->watchdog_ms = MAX(usec / 3000, 1);
    program->watchdog = vr_timer_new(program->loop, feed_watchdog, program);
    vr_timer_arm(program->watchdog, 0, 0);
}

static void on_signal(uint32_t events, void *arg)
{
    struct program *program = arg;
    struct signalfd_siginfo info;
    while (read(program->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        vr_auto_error struct vr_error *error = NULL;
        if (info.ssi_signo != SIGHUP) {
            vr_log_info("The agent ends; virtual machines run on.");
            vr_loop_exit(program->loop);
            continue;
        }
        vr_access_reload(program->agent.access);
        if (program->tls && !vr_tls_reload(program->tls, &error)) {
            g_autofree char *text = vr_error_text(error);
            vr_log_warning("The certificates stay as they are: %s", text);
        }
    }
}

/* Before any thread starts, so that all of them inherit it. */
static int block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static char *display_address(const char *network, void *arg)
{
    return vr_netconf_address(network);
}

static char *prepare_image(const char *pool, const char *domain, const char *image,
                           const char *volume, bool *block, void *arg, struct vr_error **error)
{
    struct vr_agent *agent = arg;
    struct stat st;
    char *path = vr_agent_image_prepare(agent->storage, pool, domain, image, volume, error);
    /* Files are what the storage drivers of today have; block storage gives devices. */
    *block = path && g_str_has_prefix(path, "/dev/") && stat(path, &st) == 0 && S_ISBLK(st.st_mode);
    return path;
}

static void teardown_image(const char *pool, const char *domain, const char *image,
                           const char *volume, void *arg)
{
    struct vr_agent *agent = arg;
    vr_agent_image_teardown(agent->storage, pool, domain, image, volume);
}

static bool need_bridge(const char *name, void *arg, struct vr_error **error)
{
    return vr_netconf_need_bridge(name, error);
}

static bool write_port(const struct program *program, const char *name, unsigned port,
                       struct vr_error **error)
{
    g_autofree char *path = g_build_filename(program->config->state, name, NULL);
    g_autofree char *text = g_strdup_printf("%u\n", port);
    g_autoptr(GError) failure = NULL;
    if (g_file_set_contents(path, text, -1, &failure))
        return true;
    vr_error_set(error, &vr_fault_system, "%s", failure->message);
    return false;
}

static bool listen_for_manager(struct program *program, struct vr_error **error)
{
    const struct vr_agent_config *config = program->config;
    if (config->ca) {
        program->tls = vr_tls_new(config->ca, config->certificate, config->key, error);
        if (!program->tls)
            return false;
    } else {
        vr_log_warning("TLS is off: anybody who reaches the port rules this host.");
    }
    const struct vr_rpc_server_options options = {
        .address = strcmp(config->address, "::") ? config->address : NULL,
        .port = (uint16_t)config->port,
        .tls = program->tls,
        .recovering = true,
    };
    static const struct vr_rpc_server_ops ops = { .handle = vr_agent_handle,
                                                  .is_visitor = vr_agent_is_visitor,
                                                  .refuse = vr_agent_refuse };
    program->agent.access = vr_access_new(config);
    program->agent.server =
        vr_rpc_server_new(program->loop, &options, &ops, &program->agent, error);
    if (!program->agent.server)
        return false;
    return write_port(program, "agent.port", vr_rpc_server_port(program->agent.server), error);
}

/* Without the daemon the host does all but image transfers, which then fail with 483. */
static bool start_images(struct program *program, struct vr_error **error)
{
    const struct vr_agent_config *config = program->config;
    g_autofree char *dir = g_path_get_dirname(config->ticket_socket);
    g_mkdir_with_parents(dir, 0755);
    const struct vr_image_daemon_options options = {
        .program = config->imaged,
        .address = strcmp(config->address, "::") ? config->address : NULL,
        .port = config->image_port,
        .certificate = config->certificate,
        .key = config->key,
        .control = config->ticket_socket,
        .uid = config->uid,
        .gid = config->gid,
    };
    vr_auto_error struct vr_error *failure = NULL;
    program->images = vr_image_daemon_start(&options, &failure);
    if (program->images)
        return write_port(program, "image.port", vr_image_daemon_port(program->images), error);
    g_autofree char *text = vr_error_text(failure);
    vr_log_warning("There are no image transfers on this host: %s", text);
    return true;
}

static bool start_storage(struct program *program, struct vr_error **error)
{
    const struct vr_agent_config *config = program->config;
    const struct vr_storage_options options = {
        .loop = program->loop,
        .run_root = config->run_root,
        .link_root = config->link_root,
        .nbd_root = config->nbd_root,
        .iod_program = config->iod,
        .ticket_socket = config->ticket_socket,
        .uid = config->uid,
        .gid = config->gid,
        .job_changed = vr_agent_job_changed,
        .arg = &program->agent,
    };
    program->agent.storage = vr_storage_new(&options, error);
    return program->agent.storage != NULL;
}

static bool start(struct program *program, struct vr_error **error)
{
    struct vr_agent *agent = &program->agent;
    agent->config = program->config;
    if (g_mkdir_with_parents(program->config->state, 0711) < 0) {
        vr_error_set(error, &vr_fault_system, "%s: %s", program->config->state, g_strerror(errno));
        return false;
    }
    program->loop = vr_loop_new("agent");
    agent->netconf = vr_netconf_new(program->config, error);
    if (!agent->netconf)
        return false;
    agent->stats = vr_stats_start(program->config->state);
    vr_agent_init(agent);
    if (!start_images(program, error) || !start_storage(program, error) ||
        !listen_for_manager(program, error))
        return false;
    program->hooks = (struct vr_domains_hooks){
        .prepare = prepare_image,
        .teardown = teardown_image,
        .display_address = display_address,
        .bridge = need_bridge,
        .status = vr_agent_vm_status,
        .arg = agent,
    };
    agent->domains = vr_domains_start(program->config, &program->hooks, error);
    if (!agent->domains)
        return false;
    program->recovery = vr_timer_new(program->loop, poll_recovery, program);
    vr_timer_arm(program->recovery, 0, 0);
    start_watchdog(program);
    program->signals = vr_watch_new(program->loop, program->signal_fd, EPOLLIN, on_signal, program);
    return true;
}

/* After a start that failed. */
static void stop(struct program *program)
{
    vr_role_enter(&vr_role_io);
    vr_watch_free(program->signals);
    vr_timer_free(program->recovery);
    vr_timer_free(program->watchdog);
    if (program->agent.table)
        vr_agent_done(&program->agent);
    vr_domains_stop(program->agent.domains);
    vr_storage_free(program->agent.storage);
    vr_image_daemon_stop(program->images);
    vr_rpc_server_free(program->agent.server);
    vr_access_free(program->agent.access);
    vr_stats_stop(program->agent.stats);
    vr_netconf_free(program->agent.netconf);
    vr_tls_unref(program->tls);
    vr_loop_unref(program->loop);
    vr_agent_config_free(program->config);
    if (program->signal_fd >= 0)
        close(program->signal_fd);
    vr_role_leave(&vr_role_io);
}

/* The image daemon keeps the certificate that it began with, and a restart ends its transfers: it is
 * only restarted before that one is of no use any more. */
#define IMAGES_RESTART_S (2 * 24 * 60 * 60)

static void certificate_looked_at(bool renewed, int64_t expires, void *arg)
{
    struct program *program = arg;
    vr_auto_error struct vr_error *error = NULL;
    if (renewed && !vr_tls_reload(program->tls, &error)) {
        g_autofree char *text = vr_error_text(error);
        vr_log_warning("The renewed certificate cannot be used: %s", text);
        return;
    }
    if (!expires || !program->images)
        return;
    if (renewed && !program->images_expire) {
        vr_image_daemon_restart(program->images); /* at the start: nobody is served yet */
    } else if (program->images_expire && expires > program->images_expire &&
               program->images_expire < g_get_real_time() / G_USEC_PER_SEC + IMAGES_RESTART_S) {
        vr_image_daemon_restart(program->images);
    } else if (program->images_expire) {
        return;
    }
    program->images_expire = expires;
}

/* `register` and `enroll` are another program's work.  Returns when there is none such command. */
static void become_enroll(int argc, char **argv)
{
    if (argc < 2 || (strcmp(argv[1], "register") != 0 && strcmp(argv[1], "enroll") != 0))
        return;
    g_autofree char *program = vr_agent_program("enroll", "vireo-enroll");
    if (!strcmp(argv[1], "enroll"))
        argv++;
    argv[0] = program;
    execv(program, argv);
    fprintf(stderr, "vireo-agentd: %s: %s\n", program, g_strerror(errno));
    exit(126);
}

/* 0 to go on, else the exit code plus one. */
static int read_arguments(int argc, char **argv, const char **config)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--version")) {
            printf("vireo-agentd %s\n", VR_VERSION);
            return 1;
        }
        if (!strcmp(argv[i], "--help")) {
            fputs(usage, stdout);
            return 1;
        }
        if (!strcmp(argv[i], "--config") && i + 1 < argc) {
            *config = argv[++i];
            continue;
        }
        fputs(usage, stderr);
        return 3;
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *path = g_file_test(DEFAULT_CONFIG, G_FILE_TEST_EXISTS) ? DEFAULT_CONFIG : NULL;
    become_enroll(argc, argv);
    if (argc > 1 && !strcmp(argv[1], "doctor"))
        return vr_doctor_main(argc - 1, argv + 1);
    int ends = read_arguments(argc, argv, &path);
    if (ends)
        return ends - 1;

    vr_auto_error struct vr_error *error = NULL;
    struct program program = { .signal_fd = block_signals() };
    program.config = vr_agent_config_read(path, &error);
    bool good = program.config != NULL;
    if (good) {
        vr_log_set_level(program.config->log);
        good = start(&program, &error);
    }
    if (good) {
        vr_log_info("The agent listens on port %u; machines run under %s.",
                    vr_rpc_server_port(program.agent.server),
                    program.config->accel == VR_ACCEL_KVM ? "KVM" : "TCG");
        sd_notify(0, "READY=1");
        if (program.tls)
            vr_renewal_start(program.loop, program.config, path, certificate_looked_at, &program);
        vr_loop_run(program.loop);
        sd_notify(0, "STOPPING=1");
        /* Image transfers end with us; what serves their bytes would stay. */
        vr_storage_stop_servers(program.agent.storage);
        /* Threads may be inside storage or libvirt for minutes, and nothing here is worth saving.
         */
        _exit(0);
    } else {
        g_autofree char *text = vr_error_text(error);
        vr_log_error("The agent cannot start: %s", text);
    }
    stop(&program);
    return 1;
}
