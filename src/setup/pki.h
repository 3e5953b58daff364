/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * pki: the Manager's own certificate authority and what it signs.
 *
 * Everything is made once and kept: "ensure" leaves a good file alone and
 * makes what is missing, so that a run after a crash completes the first.
 * Keys are RSA: libvirt and QEMU refuse TLS certificates of ECDSA keys
 * ("usage does not permit key encipherment", facts/test-lab.md 3).
 *
 *   FOLDER/ca.key          0600, self-signed for 10 years; never replaced
 *   FOLDER/ca.pem
 *   any key and certificate signed by it, as the caller names them
 */

#include "base/base.h"

enum vr_pki_use {
    VR_PKI_SERVER = 1, /* extended key usage: TLS server */
    VR_PKI_CLIENT = 2, /* extended key usage: TLS client */
    /* The mark of the Manager (base/mark.h), whose owner commands every host.  Only
     * vr_pki_ensure_certificate() gives it. */
    VR_PKI_MANAGER = 4,
};

/* RSA bits of every key: 3072 is GnuTLS' "high", good beyond the CA's 10 years. */
#define VR_PKI_KEY_BITS 3072
#define VR_PKI_CA_DAYS 3653
/* Browsers refuse server certificates that live longer. */
#define VR_PKI_HTTPS_DAYS 398
#define VR_PKI_HOST_DAYS 1826
/* A certificate with less left is signed anew, with the same key. */
#define VR_PKI_RENEW_DAYS 30

struct vr_pki_request {
    const char *ca_folder;    /* with ca.pem and ca.key */
    const char *certificate;  /* path to write, 0644 */
    const char *key;          /* path to write, 0600; an existing key is used again */
    const char *common_name;  /* at most 64 bytes (RFC 5280, ub-common-name) */
    const char *const *names; /* host names and IP addresses for the subjectAltName; NULL-ended */
    unsigned use;             /* enum vr_pki_use, or'ed */
    unsigned days;
    unsigned key_bits; /* 0: VR_PKI_KEY_BITS */
};

/*
 * Makes the authority in @folder, which must exist, unless it is there.  Fails when the
 * certificate is there without its key or they do not belong together: replacing an authority
 * would lock out every host, so a person must bring the backup.
 */
bool vr_pki_ensure_ca(const char *folder, const char *organization, unsigned key_bits,
                      struct vr_error **error);

/*
 * Makes key and certificate unless both are there, belong together and to the authority, carry
 * all of @request's names and uses, and have VR_PKI_RENEW_DAYS left.  *@ret_made says whether a
 * certificate was signed; it may be NULL.
 */
bool vr_pki_ensure_certificate(const struct vr_pki_request *request, bool *ret_made,
                               struct vr_error **error);

/* --- certificates for keys that somebody else has (pki_sign.c) --- */

/* A request that is longer, or whose RSA key is smaller or larger, is refused. */
#define VR_PKI_REQUEST_MAX (16 * 1024)
#define VR_PKI_REQUEST_BITS_MIN 2048
#define VR_PKI_REQUEST_BITS_MAX 8192

/*
 * The key of a certificate request (PKCS #10, PEM) that this key itself has signed: the only thing
 * in it that is believed.  *@ret_key_id is the SHA-256 of the key's SubjectPublicKeyInfo in hex.
 */
bool vr_pki_request_key(const char *request, char **ret_key_id, struct vr_error **error);

struct vr_pki_certificate {
    char *pem;
    char *subject;      /* RFC 4514 */
    char *organization; /* or NULL */
    char *unit;         /* the first organizational one, or NULL */
    char *common_name;  /* or NULL */
    char *fingerprint;  /* SHA-256 of the whole, hex */
    char *key_id;       /* SHA-256 of its SubjectPublicKeyInfo, hex */
    int64_t expires;    /* epoch, seconds */
};
void vr_pki_certificate_clear(struct vr_pki_certificate *certificate);

/*
 * Signs for the key of @request what @wanted says (its file names and key_bits do not count), but
 * for no longer than the authority itself lives.  Nothing but the key comes from the request, and
 * VR_PKI_MANAGER is left out: who asks is a host.
 */
bool vr_pki_sign(const char *request, const struct vr_pki_request *wanted,
                 struct vr_pki_certificate *ret, struct vr_error **error);
/* What a certificate says. */
bool vr_pki_describe(const char *pem, struct vr_pki_certificate *ret, struct vr_error **error);
/* "ssh-rsa AAAA… vireo-manager" of an RSA certificate's key (RFC 4253, 6.6), or NULL for others. */
char *vr_pki_openssh_key(const char *pem);
