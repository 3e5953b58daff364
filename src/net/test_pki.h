/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* test_pki: certificates for tests, made on the spot in a temporary folder. */

#include "base/base.h"

enum { PKI_SERVER, PKI_CLIENT, PKI_OLD, PKI_STRANGER, PKI_COUNT };

struct test_pki {
    char *folder;
    char *ca, *other_ca;        /* PEM files: the CA of all but PKI_STRANGER, and that one's */
    char *cert[PKI_COUNT];      /* SERVER: CN=server.test, SAN 127.0.0.1, ::1, localhost; CLIENT:
                                   CN=client.test; OLD: expired yesterday; STRANGER: another CA */
    char *key[PKI_COUNT];       /* RSA 2048, one key for all of the first CA */
    uint8_t pin[PKI_COUNT][32]; /* SHA-256 of the certificate */
};

struct test_pki *test_pki_new(void);
void test_pki_free(struct test_pki *pki); /* removes the folder */
