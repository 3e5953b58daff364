/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Faults go on for this long, and then everything has this long to settle; simulated time. */
#define FAULTS_MS 120000
#define SETTLE_MS 400000
/* A history that does not get on is broken as well. */
#define MAX_EVENTS 2000000

static void kill_manager(struct sim *sim, void *nothing) VR_REQUIRES(vr_role_engine)
{
    if (sim->calm)
        return;
    if (sim->engine)
        sim_manager_kill(sim);
    sim_after(sim, 50 + sim_below(sim, 30000), 0, "kill", kill_manager, NULL, NULL);
}

static void calm(struct sim *sim, void *nothing)
{
    sim->calm = true;
    sim_hosts_heal(sim);
}

static void end(struct sim *sim, void *over)
{
    *(bool *)over = true;
}

/* One history; returns its hash, and what broke (owned) or NULL. */
static uint64_t run(const struct sim_options *options, char **ret_broken)
{
    bool over = false;
    struct sim *sim = sim_new(options);
    sim_clients_start(sim);
    sim_manager_start(sim);
    sim_after(sim, 3000, 0, "torment", sim_hosts_torment, NULL, NULL);
    sim_after(sim, 50 + sim_below(sim, 30000), 0, "kill", kill_manager, NULL, NULL);
    sim_after(sim, FAULTS_MS, 0, "calm", calm, NULL, NULL);
    sim_after(sim, FAULTS_MS + SETTLE_MS, 0, "end", end, &over, NULL);
    while (!over && !sim->broken && sim->events < MAX_EVENTS && sim_step(sim))
        ;
    vr_role_enter(&vr_role_engine);
    if (!sim->broken && !over)
        sim_broken(sim, "%u events and no end", sim->events);
    if (!sim->broken)
        sim_check_end(sim);
    vr_role_leave(&vr_role_engine);
    uint64_t hash = sim->hash;
    *ret_broken = g_steal_pointer(&sim->broken);
    sim_free(sim);
    return hash;
}

struct verdict {
    uint64_t hash;
    char broken[400];
};

/* A process of its own, so that an abort of the Manager is a failed seed and not the end. */
static bool run_apart(const struct sim_options *options, struct verdict *ret_verdict)
{
    int fds[2];
    if (pipe(fds) != 0)
        g_error("pipe: %s", g_strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        g_error("fork: %s", g_strerror(errno));
    if (pid == 0) {
        struct verdict verdict = { 0 };
        g_autofree char *broken = NULL;
        verdict.hash = run(options, &broken);
        g_strlcpy(verdict.broken, broken ? broken : "", sizeof(verdict.broken));
        ssize_t done = write(fds[1], &verdict, sizeof(verdict));
        _exit(done == sizeof(verdict) ? 0 : 1);
    }
    close(fds[1]);
    ssize_t got = read(fds[0], ret_verdict, sizeof(*ret_verdict));
    close(fds[0]);
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (got != sizeof(*ret_verdict)) {
        *ret_verdict = (struct verdict){ 0 };
        g_snprintf(ret_verdict->broken, sizeof(ret_verdict->broken),
                   "the Manager ended itself (signal %d)", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
    return ret_verdict->broken[0] == '\0';
}

/* Runs a seed, every tenth one twice: the same seed must give the same history. */
static bool run_seed(const char *program, const struct sim_options *options, char **ret_broken)
{
    struct verdict first, second;
    bool good = run_apart(options, &first);
    if (good && options->seed % 10 == 0 && run_apart(options, &second) &&
        first.hash != second.hash) {
        good = false;
        g_snprintf(first.broken, sizeof(first.broken), "two runs of the seed differ");
    }
    if (ret_broken)
        *ret_broken = good ? NULL : g_strdup(first.broken);
    else if (!good)
        printf("seed %" G_GUINT64_FORMAT " failed: %s\n    replay: %s --seeds 1 --first %"
               G_GUINT64_FORMAT " --trace\n", options->seed, first.broken, program, options->seed);
    return good;
}

/* With a mistake compiled in: whether one of the seeds breaks, and says @text of it. */
static bool notices(gint64 first, gint64 seeds, const char *text)
{
    g_autofree char *last = NULL;
    for (gint64 i = 0; i < seeds; i++) {
        const struct sim_options options = { (uint64_t)(first + i), false };
        g_autofree char *broken = NULL;
        if (run_seed(NULL, &options, &broken))
            continue;
        if (strstr(broken, text)) {
            printf("seed %" G_GUINT64_FORMAT " noticed it: %s\n", options.seed, broken);
            return true;
        }
        g_free(last);
        last = g_steal_pointer(&broken);
    }
    printf("%" G_GINT64_FORMAT " seeds, and none said \"%s\"; the last that broke: %s\n", seeds, text,
           last ? last : "none");
    return false;
}

int main(int argc, char **argv)
{
    gint64 seeds = 100, first = 1;
    gboolean trace = FALSE;
    g_autofree char *expected = NULL;
    const GOptionEntry entries[] = {
        { "seeds", 0, 0, G_OPTION_ARG_INT64, &seeds, "how many seeds to run", "N" },
        { "first", 0, 0, G_OPTION_ARG_INT64, &first, "the first seed", "K" },
        { "notices", 0, 0, G_OPTION_ARG_STRING, &expected,
          "fail unless a seed breaks in this way (for builds with a mistake)", "TEXT" },
        { "trace", 0, 0, G_OPTION_ARG_NONE, &trace, "show the history of one seed", NULL },
        { 0 },
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- a site with faults, seed by seed");
    g_option_context_add_main_entries(context, entries, NULL);
    g_autoptr(GError) error = NULL;
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 2;
    }
    vr_log_set_level(trace ? VR_LOG_DEBUG : VR_LOG_ERROR);

    if (trace) {
        g_autofree char *broken = NULL;
        const struct sim_options options = { (uint64_t)first, true };
        uint64_t hash = run(&options, &broken);
        printf("seed %" G_GINT64_FORMAT " hash %016" G_GINT64_MODIFIER "x: %s\n", first, hash,
               broken ? broken : "good");
        return broken ? 1 : 0;
    }
    if (expected)
        return notices(first, seeds, expected) ? 0 : 1;
    unsigned passed = 0, failed = 0;
    for (gint64 i = 0; i < seeds; i++) {
        const struct sim_options options = { (uint64_t)(first + i), false };
        *(run_seed(argv[0], &options, NULL) ? &passed : &failed) += 1;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
