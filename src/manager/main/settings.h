/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * settings: manager.conf.
 *
 *     [database]  url=  or  dir=           a libpq connection, or the embedded cluster's folder
 *     [https]     address= port= certificate= key= ca=
 *                 name=                    of the Manager, as hosts reach it; else its certificate's
 *                 port-file=               where the bound port is written; run/manager.port beside
 *                                          this file when absent
 *     [hosts]     ca= certificate= key=    how the Manager shows itself to hosts; the key is its SSH
 *                                          key as well
 *                 authority=               folder with ca.pem and ca.key, that of ca when absent
 *     [admin]     password-file=
 *     [packages]  dir=                     .deb files that hosts are installed from:
 *                                          /usr/share/vireo/packages when absent
 *     [log]       level=                   error, warning, info or debug
 *     [options]   NAME=VALUE               options of model/config*.idl
 */

#include "base/base.h"

struct vr_config;

struct vr_settings {
    char *path;
    char *database_url; /* or NULL */
    char *database_dir; /* when there is no URL */
    char *https_address;
    unsigned https_port; /* 0: the kernel picks one */
    char *port_file;
    char *https_certificate, *https_key, *https_ca; /* PEM texts */
    char *https_name;                               /* or NULL */
    char *host_ca, *host_certificate, *host_key;    /* paths, or NULL */
    char *host_authority;                           /* a folder, or NULL */
    char *password_file;                            /* or NULL */
    char *password_reset; /* a file whose being there asks for the password to be set anew */
    char *packages_dir;   /* need not exist; holds vireo-agent_VERSION_ARCHITECTURE.deb */
    enum vr_log_level log_level;
    GKeyFile *file;
};

/* NULL and @error, which names the file, the section and the key. */
struct vr_settings *vr_settings_read(const char *path, struct vr_error **error);
void vr_settings_free(struct vr_settings *settings); /* takes NULL */
/* The section [options] into @config. */
bool vr_settings_apply(const struct vr_settings *settings, struct vr_config *config,
                       struct vr_error **error);
/* The first line of the password file.  Owned. */
char *vr_settings_password(const struct vr_settings *settings, struct vr_error **error);
/* The Manager's certificate and key towards hosts, as PEM texts; both NULL when there are none. */
bool vr_settings_host_identity(const struct vr_settings *settings, char **ret_certificate,
                               char **ret_key, struct vr_error **error);
/* Writes @port to the port file. */
bool vr_settings_write_port(const struct vr_settings *settings, unsigned port,
                            struct vr_error **error);
