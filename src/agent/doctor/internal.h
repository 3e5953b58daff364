/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the doctor's checks share.
 *
 * A check is a function that looks at one thing and tells findings.  It runs
 * in a process of its own with a deadline: a dead server or a libvirtd that
 * hangs holds that process, and is a finding.
 */

#include "agent/config.h"
#include "agent/doctor/doctor.h"

enum vr_finding {
    VR_FINDING_OK,
    VR_FINDING_NOTE,   /* worth to know, and nobody's fault */
    VR_FINDING_MENDED, /* was wrong */
    VR_FINDING_WRONG,
};

struct vr_doctor {
    const struct vr_agent_config *config;
    const char *path;   /* of the configuration; NULL: there is none */
    const char *check;  /* the name of the one that runs */
    const char *root;   /* "" or, for tests, a folder in which /proc and /sys are looked for */
    bool mend;
    /* Where findings go; NULL prints them.  @remedy is NULL for those that need none. */
    void (*tell)(enum vr_finding finding, const char *check, const char *text, const char *remedy,
                 void *arg);
    void *arg;
    unsigned wrong; /* findings that stay */
};

void vr_doctor_ok(struct vr_doctor *doctor, const char *format, ...) G_GNUC_PRINTF(2, 3);
void vr_doctor_note(struct vr_doctor *doctor, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Puts it right; may be run again. */
typedef bool vr_doctor_fix(struct vr_doctor *doctor, const char *what, struct vr_error **error);

/*
 * Something is wrong; the format is what.  @fix (with @what) is tried when mending; NULL: there is
 * nothing that the doctor can do.  @remedy is what a person does, or what @fix does.
 */
void vr_doctor_wrong(struct vr_doctor *doctor, vr_doctor_fix *fix, const char *what,
                     const char *remedy, const char *format, ...) G_GNUC_PRINTF(5, 6);

/* Runs @check in a process of its own, @seconds at most.  False when it did not come back. */
typedef void vr_doctor_check(struct vr_doctor *doctor);
bool vr_doctor_try(struct vr_doctor *doctor, vr_doctor_check *check, unsigned seconds);

/* Runs a program for a fix. */
bool vr_doctor_run(const char *const *argv, unsigned seconds, struct vr_error **error);
/* Whether systemd runs this machine. */
bool vr_doctor_has_systemd(void);
/* vr_doctor_fix: systemctl start of a unit. */
bool vr_doctor_start_unit(struct vr_doctor *doctor, const char *unit, struct vr_error **error);

vr_doctor_check vr_doctor_configuration, vr_doctor_programs, vr_doctor_user, vr_doctor_folders,
    vr_doctor_space, vr_doctor_clock, vr_doctor_processor; /* host.c */
vr_doctor_check vr_doctor_certificate;                     /* certificate.c */
vr_doctor_check vr_doctor_networks, vr_doctor_ports;       /* network.c */
vr_doctor_check vr_doctor_storage;                         /* storage.c */
vr_doctor_check vr_doctor_libvirt, vr_doctor_sanlock, vr_doctor_service; /* services.c */
