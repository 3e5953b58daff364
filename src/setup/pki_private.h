/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What pki.c and pki_sign.c share. */

#include <time.h>

#include <gnutls/x509.h>

#include "setup/pki.h"

#define DAY ((time_t)24 * 60 * 60)

extern const struct vr_fault fault_pki;

struct pair {
    gnutls_x509_crt_t certificate; /* NULL when its file is missing */
    gnutls_x509_privkey_t key;     /* NULL when its file is missing */
};
void pair_done(struct pair *pair);
#define auto_pair __attribute__((cleanup(pair_done))) struct pair

/* Sets @error to GnuTLS' @code; returns false. */
bool tls_fail(struct vr_error **error, const char *what, int code);
/* Reads what is there of the two files.  A file that cannot be parsed is an error. */
bool pair_load(struct pair *pair, const char *certificate, const char *key,
               struct vr_error **error);
/* Fills everything but the key, which @leaf has, and signs.  A code of GnuTLS. */
int sign_leaf(gnutls_x509_crt_t leaf, const struct pair *ca, const struct vr_pki_request *request);
