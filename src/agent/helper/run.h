/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * run: one external program, by argument vector, to its end.
 *
 * The caller's thread blocks.  The child dies with its parent, has its own
 * process group, no inherited descriptors beyond 0, 1 and 2, and an
 * environment of PATH and LC_ALL=C.
 */

#include "base/base.h"

#include <sys/types.h>

struct vr_run {
    const char *const *argv; /* NULL ended; argv[0] is looked up in PATH */
    int directory;           /* descriptor of the working directory; 0 is the caller's own */
    const char *input;       /* the whole of stdin, borrowed; NULL: nothing */
    uint64_t deadline_ms;    /* 0: none */
    size_t output_max;       /* of stdout; 0: 1 MiB; more makes the run fail */
    const gint *cancel;      /* atomic; not 0 ends the child; may be NULL */
    uid_t uid;               /* 0: as the caller */
    gid_t gid;
    /* Called with every line (ended by \n or \r) of stdout, whose text is then not kept. */
    void (*line)(const char *line, void *arg);
    void *arg;
    /* The outcome. */
    char *output; /* owned by the caller; NUL ended; NULL when the program did not start */
    char *errors; /* the first 4 KiB of stderr; owned by the caller */
    int status;   /* exit status, or 128 + signal */
    bool timed_out, cancelled;
};

/*
 * Runs it.  True when the program ran and left with status 0; otherwise
 * @error tells the command, how it ended and the last line of its stderr.
 */
bool vr_run(struct vr_run *run, struct vr_error **error);
void vr_run_done(struct vr_run *run); /* frees output and errors */
