/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * errand: work for the engine that blocks: SSH, signing, reading files.
 *
 * An errand is made on the engine thread, given away with vr_engine_errand(),
 * filled in by the world on a thread of its own, and comes back once.  Nothing
 * of it is recorded: who needs an errand's outcome after a crash runs it again.
 */

#include "manager/ssh/ssh.h"

enum vr_errand_kind {
    VR_ERRAND_SSH,     /* a script on a host */
    VR_ERRAND_SIGN,    /* a host's certificate */
    VR_ERRAND_OFFER,   /* what the Manager has for a host that is deployed */
    VR_ERRAND_EXPIRY,  /* when the Manager's own certificates end */
    VR_ERRAND_KINDS,
};

/* A script for the shell of a host; the world knows the Manager's key and the time limits. */
struct vr_errand_ssh {
    char *address;
    unsigned port;
    char *user;
    char *password;    /* NULL: the Manager's key; wiped when the errand is freed */
    char *fingerprint; /* that the host's key must have; NULL: any */
    char *script;      /* read by /bin/sh from its stdin */
    struct vr_ssh_answer answer;
};

struct vr_errand_sign {
    char *request; /* PKCS #10, PEM */
    char *common_name;
    char **names; /* host names and addresses, NULL ended */
    unsigned days;
    /* answer */
    struct vr_error *error; /* NULL: signed */
    char *certificate, *authority; /* PEM */
    char *subject, *organization, *fingerprint, *key_id;
    int64_t expires; /* epoch ms */
};

struct vr_errand_offer {
    bool package; /* wanted: makes a URL that works for a short time */
    /* answer */
    struct vr_error *error;
    char *manager_url; /* "https://manager.example.com:8443" */
    char *authority;   /* PEM that the Manager's HTTPS certificate is checked with */
    char *ssh_key;     /* "ssh-rsa AAAA… vireo-manager" */
    char *known_by;    /* our certificate towards hosts: "OU=unit", "CN=name"; "" without one */
    char *url, *sha256, *version; /* of the agent's package */
};

struct vr_errand_expiry {
    int64_t https, manager, authority; /* epoch ms; 0: there is none */
};

struct vr_errand {
    enum vr_errand_kind kind;
    struct vr_errand_ssh ssh;
    struct vr_errand_sign sign;
    struct vr_errand_offer offer;
    struct vr_errand_expiry expiry;
};

struct vr_errand *vr_errand_new(enum vr_errand_kind kind);
/* Wipes what is secret.  Takes NULL. */
void vr_errand_free(struct vr_errand *errand);
/* Fills in that it was not done.  For worlds. */
void vr_errand_refuse(struct vr_errand *errand, const char *why);
