/* SPDX-License-Identifier: Apache-2.0 */
#define VR_LOG_MODULE "pgcluster"
#include "setup/pghome.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "setup/file.h"

/* Where the cluster goes when its user cannot reach the state folder. */
#define ELSEWHERE "/var/lib/vireo-db"
/* unix(7): sun_path holds 108 bytes; PostgreSQL adds "/.s.PGSQL.5432.lock". */
#define SOCKET_FOLDER_MAX 80

const struct vr_fault vr_fault_pgcluster = {
    .name = "pgcluster", .http = 503, .exit = 1, .text = "The embedded database does not run."
};

static bool fail(struct vr_error **error, const char *what, const char *path)
{
    vr_error_set(error, &vr_fault_pgcluster, "Cannot %s %s: %s.", what, path, g_strerror(errno));
    return false;
}

static bool find_user(struct vr_pghome *home, struct vr_error **error)
{
    home->drop = geteuid() == 0;
    home->uid = geteuid();
    home->gid = getegid();
    if (!home->drop)
        return true;
    static const char *const names[] = { "postgres", "nobody" };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const struct passwd *user = getpwnam(names[i]);
        if (!user || user->pw_uid == 0)
            continue;
        home->uid = user->pw_uid;
        home->gid = user->pw_gid;
        return true;
    }
    vr_error_set(error, &vr_fault_pgcluster,
                 "There is no user postgres or nobody, and PostgreSQL refuses to run as root.");
    return false;
}

/* A cluster runs only with programs of its own major version; a new one gets the newest. */
static bool find_programs(struct vr_pghome *home, struct vr_error **error)
{
    g_autofree char *file = g_build_filename(home->data, "PG_VERSION", NULL);
    g_autofree char *version = vr_file_read(file, 16, NULL, error);
    if (*error)
        return false;
    int wanted = version ? atoi(version) : 0, best = 0;
    GDir *folder = g_dir_open("/usr/lib/postgresql", 0, NULL);
    for (const char *name; folder && (name = g_dir_read_name(folder));) {
        g_autofree char *bin = g_build_filename("/usr/lib/postgresql", name, "bin", NULL);
        g_autofree char *program = g_build_filename(bin, "postgres", NULL);
        int major = atoi(name);
        if (access(program, X_OK) < 0 || (wanted && major != wanted) || major <= best)
            continue;
        best = major;
        g_free(home->bin);
        home->bin = g_steal_pointer(&bin);
    }
    if (folder)
        g_dir_close(folder);
    if (home->bin)
        return true;
    if (wanted)
        vr_error_set(error, &vr_fault_pgcluster,
                     "%s was made by PostgreSQL %d, which is not installed.", home->data, wanted);
    else
        vr_error_set(error, &vr_fault_pgcluster,
                     "No PostgreSQL in /usr/lib/postgresql; install the package postgresql.");
    return false;
}

/* Whether the server's user can enter and write @folder; asked by becoming that user. */
static bool user_can_use(const struct vr_pghome *home, const char *folder)
{
    pid_t child = fork();
    if (child == 0) {
        bool good = setgroups(0, NULL) == 0 && setgid(home->gid) == 0 && setuid(home->uid) == 0 &&
                    access(folder, R_OK | W_OK | X_OK) == 0;
        _exit(good ? 0 : 1);
    }
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Decides where data and run live: see pgcluster.h. */
static bool find_home(struct vr_pghome *home, struct vr_error **error)
{
    const char *directory = home->directory;
    g_autofree char *location = g_build_filename(directory, "location", NULL);
    g_autofree char *written = vr_file_read(location, 4096, NULL, error);
    if (*error)
        return false;
    if (written) {
        home->home = g_strdup(g_strstrip(written));
        if (g_file_test(home->home, G_FILE_TEST_IS_DIR))
            return true;
        vr_error_set(error, &vr_fault_pgcluster, "%s names %s, which is gone.", location,
                     home->home);
        return false;
    }
    if (!home->drop) {
        home->home = g_strdup(directory);
        return true;
    }
    if (chown(directory, home->uid, home->gid) < 0)
        return fail(error, "give away", directory);
    if (user_can_use(home, directory)) {
        home->home = g_strdup(directory);
        return true;
    }
    if (g_mkdir_with_parents(ELSEWHERE, 0755) < 0)
        return fail(error, "make", ELSEWHERE);
    g_autofree char *elsewhere = g_strdup(ELSEWHERE "/db-XXXXXX");
    if (!mkdtemp(elsewhere) || chown(elsewhere, home->uid, home->gid) < 0)
        return fail(error, "make", elsewhere);
    if (!user_can_use(home, elsewhere)) {
        errno = EACCES;
        return fail(error, "use", elsewhere);
    }
    vr_log_info("The database server's user cannot reach %s; the database is in %s.", directory,
                elsewhere);
    g_autofree char *line = g_strdup_printf("%s\n", elsewhere);
    home->home = g_steal_pointer(&elsewhere);
    return vr_file_replace(location, line, strlen(line), 0644, error);
}

/* Nothing to do where we are that user already: a sandbox may forbid even that chown(2). */
static bool give_away(const struct vr_pghome *home, const char *folder)
{
    return !home->drop || chown(folder, home->uid, home->gid) == 0;
}

/* A socket's path is short, so a deep state folder has it in /tmp, under a name of its own. */
static bool find_socket_folder(struct vr_pghome *home, struct vr_error **error)
{
    home->socket_folder = g_build_filename(home->home, "run", NULL);
    if (strlen(home->socket_folder) > SOCKET_FOLDER_MAX) {
        g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, home->home, -1);
        g_free(home->socket_folder);
        home->socket_folder = g_strdup_printf("/tmp/vireo-db-%.16s", sum);
    }
    const char *folder = home->socket_folder;
    struct stat st;
    if (mkdir(folder, 0700) == 0) {
        if (!give_away(home, folder))
            return fail(error, "give away", folder);
    } else if (errno != EEXIST) {
        return fail(error, "make", folder);
    }
    if (lstat(folder, &st) < 0)
        return fail(error, "look at", folder);
    /* In /tmp anybody could have made it first; a crash may have left it ours. */
    if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && give_away(home, folder))
        st.st_uid = home->uid;
    if (!S_ISDIR(st.st_mode) || st.st_uid != home->uid || (st.st_mode & 077)) {
        errno = EPERM;
        return fail(error, "trust", folder);
    }
    return true;
}

bool vr_pghome_init(struct vr_pghome *home, const char *directory, bool fast,
                    struct vr_error **error)
{
    *home = (struct vr_pghome){ .directory = g_strdup(directory), .lock = -1, .fast = fast };
    g_assert(g_path_is_absolute(directory));
    if (!vr_file_make_folder(directory, 0700, error))
        return false;
    g_autofree char *lock = g_build_filename(directory, "supervisor.lock", NULL);
    home->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (home->lock < 0)
        return fail(error, "open", lock);
    if (flock(home->lock, LOCK_EX | LOCK_NB) < 0) {
        vr_error_set(error, &vr_fault_pgcluster, "Another Manager uses the database in %s.",
                     directory);
        return false;
    }
    if (!find_user(home, error) || !find_home(home, error))
        return false;
    home->data = g_build_filename(home->home, "data", NULL);
    return find_programs(home, error) && find_socket_folder(home, error);
}

void vr_pghome_done(struct vr_pghome *home)
{
    if (home->lock >= 0)
        close(home->lock);
    home->lock = -1;
    g_clear_pointer(&home->directory, g_free);
    g_clear_pointer(&home->home, g_free);
    g_clear_pointer(&home->data, g_free);
    g_clear_pointer(&home->socket_folder, g_free);
    g_clear_pointer(&home->bin, g_free);
}

void vr_pghome_become(void *arg)
{
    const struct vr_pghome *home = arg;
    setsid();
    umask(077);
    if (home->drop &&
        (setgroups(0, NULL) < 0 || setgid(home->gid) < 0 || setuid(home->uid) < 0))
        _exit(126);
}

char **vr_pghome_environment(void)
{
    static char path[] = "PATH=/usr/bin:/bin", locale[] = "LC_ALL=C.UTF-8", zone[] = "TZ=UTC";
    static char *environment[] = { path, locale, zone, NULL };
    return environment;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    return remove(path);
}

static bool remove_tree(const char *path)
{
    return nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 || errno == ENOENT;
}

bool vr_pghome_ensure_cluster(struct vr_pghome *home, struct vr_error **error)
{
    g_autofree char *version = g_build_filename(home->data, "PG_VERSION", NULL);
    if (g_file_test(version, G_FILE_TEST_EXISTS))
        return true;
    /* data gets its name when it is whole; what a crash left of data.new is worth nothing. */
    g_autofree char *made = g_build_filename(home->home, "data.new", NULL);
    if (!remove_tree(made))
        return fail(error, "remove", made);
    g_autofree char *program = g_build_filename(home->bin, "initdb", NULL);
    const char *argv[] = { program, "-D",      made,     "-U",           "vireo",
                           "-A",    "trust",   "-E",     "UTF8",         "--locale=C.UTF-8",
                           "--no-instructions", home->fast ? "--no-sync" : NULL, NULL };
    g_autofree char *output = NULL;
    g_autofree char *messages = NULL;
    GError *spawn_error = NULL;
    int status = 0;
    if (!g_spawn_sync(home->home, (char **)argv, vr_pghome_environment(), G_SPAWN_DEFAULT,
                      vr_pghome_become, home, &output, &messages, &status, &spawn_error)) {
        vr_error_set(error, &vr_fault_pgcluster, "Cannot run initdb: %s.", spawn_error->message);
        g_error_free(spawn_error);
        return false;
    }
    if (status != 0) {
        vr_error_set(error, &vr_fault_pgcluster, "initdb failed: %.2000s",
                     messages ? messages : "");
        return false;
    }
    if (rename(made, home->data) < 0)
        return fail(error, "rename", made);
    return vr_file_sync_folder(home->home, error);
}
