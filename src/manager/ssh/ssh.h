/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * ssh: one command on a host over SSH, from the first packet to its exit status.
 *
 * Everything that a host sends is capped and has a deadline; its key is
 * checked before anything secret is said.  Blocks: worker threads only.
 */

#include "base/base.h"

enum vr_ssh_outcome {
    VR_SSH_DONE = 0,      /* the command ran; see exit_status */
    VR_SSH_UNREACHABLE,   /* no connection, or nobody there who speaks SSH */
    VR_SSH_HOST_KEY,      /* another key than the one that was expected */
    VR_SSH_LOGIN_REFUSED, /* by password or by key */
    VR_SSH_TIMED_OUT,     /* silent for too long, or not done in time */
    VR_SSH_LOST,          /* the connection ended before the command did, or was flooded */
    VR_SSH_CANCELLED,
};

struct vr_ssh_order {
    const char *address;
    unsigned port;
    const char *user;
    const char *password;    /* NULL: the key below */
    const char *key;         /* PEM of the private key that we show, when there is no password */
    const char *fingerprint; /* "SHA256:…" that the host's key must have; NULL: any, and told */
    const char *command;     /* a constant of the program: the user's shell over there reads it */
    const char *input;       /* its stdin */
    size_t input_size;
    unsigned connect_s; /* connection, key exchange and login; and without a sign of life of its TCP */
    unsigned silence_s; /* longest time without a byte from the command */
    unsigned limit_s;   /* whole time of the command */
    size_t output_max;  /* bytes of stdout; more ends the command as VR_SSH_LOST */
    size_t noise_max;   /* bytes of stderr that are kept, the last ones */
    size_t bytes_max;   /* of all that comes over the connection; more ends it as VR_SSH_LOST */
    int cancel_fd;      /* readable: give up; -1: none */
};

struct vr_ssh_answer {
    enum vr_ssh_outcome outcome;
    char *message;     /* for people, a sentence; NULL when the command ran */
    char *fingerprint; /* of the host's key, when the connection came that far */
    char *public_key;  /* "ssh-ed25519 AAAA…" */
    int exit_status;   /* 0 to 255; -1: ended by a signal, or it is not known */
    GString *output;   /* stdout; may hold anything */
    GString *noise;    /* the end of stderr; may hold anything */
};

/* Fills @ret, which vr_ssh_answer_clear() empties. */
void vr_ssh_run(const struct vr_ssh_order *order, struct vr_ssh_answer *ret);
void vr_ssh_answer_clear(struct vr_ssh_answer *answer);

/* "SHA256:…" of "TYPE BASE64 [COMMENT]", as OpenSSH prints it; NULL when it is no public key. */
char *vr_ssh_fingerprint(const char *public_key);
/* Whether @text is "SHA256:" and the 43 letters of a digest (a trailing `=` is let through). */
bool vr_ssh_is_fingerprint(const char *text);
bool vr_ssh_same_fingerprint(const char *a, const char *b);
