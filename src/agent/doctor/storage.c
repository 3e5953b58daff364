/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/doctor/internal.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * What is mounted for storage domains.  Nothing is mended here: what lies on
 * storage is every host's, and a server that is dead is elsewhere.
 */

/* A server that takes longer is one that machines already suffer from. */
#define ANSWER_S 10

struct place {
    struct vr_doctor doctor; /* a copy; first */
    const char *path;
    dev_t folder; /* the device of the folder that it is in */
};

/* In a process of its own, which takes on the rights of the storage's user for the last step. */
static void look_at(struct vr_doctor *doctor)
{
    const struct vr_agent_config *config = doctor->config;
    const struct place *place = (struct place *)doctor;
    const char *path = place->path;
    struct stat st, link;
    if (lstat(path, &link) == 0 && S_ISDIR(link.st_mode) && link.st_dev == place->folder)
        return; /* nothing is mounted there */
    if (stat(path, &st) < 0) {
        vr_doctor_wrong(doctor, NULL, NULL, "look at the server, then at the mount", "%s: %s.",
                        path, g_strerror(errno));
        return;
    }
    if (geteuid() == 0 && config->uid) {
        gid_t gid = config->gid;
        if (setgroups(1, &gid) < 0 || setresgid(gid, gid, gid) < 0 ||
            setresuid(config->uid, config->uid, config->uid) < 0)
            return;
    }
    if (access(path, R_OK | W_OK | X_OK) < 0)
        vr_doctor_wrong(doctor, NULL, NULL,
                        "on the server, give the folder to that user and group, and export it so "
                        "that they count",
                        "%s belongs to %u:%u, and %u:%u cannot use it (%s).", path, st.st_uid,
                        st.st_gid, config->uid, config->gid, g_strerror(errno));
    else
        vr_doctor_ok(doctor, "%s answers", path);
}

void vr_doctor_storage(struct vr_doctor *doctor)
{
    g_autofree char *folder = g_build_filename(doctor->config->run_root, "mnt", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;
    struct stat st;
    unsigned places = 0;
    if (stat(folder, &st) < 0)
        st.st_dev = 0;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        struct place place = { *doctor, path, st.st_dev };
        places++;
        place.doctor.wrong = 0;
        if (!vr_doctor_try(&place.doctor, look_at, ANSWER_S))
            vr_doctor_wrong(&place.doctor, NULL, NULL, "look at the server and the way to it",
                            "%s did not answer within %u s.", path, ANSWER_S);
        doctor->wrong += place.doctor.wrong;
    }
    if (places == 0)
        vr_doctor_note(doctor, "No storage is connected.");
}
