# SPDX-License-Identifier: Apache-2.0
#
# What every script begins with.  A script is read by /bin/sh from its stdin, behind lines that set
# its variables, and runs when its last line has come.  On stdout: `note TEXT` and `NAME=VALUE` for
# the Manager, and, before it fails, `problem TEXT`, a sentence that a person can act on.
set -u
umask 022
PATH=/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin
LC_ALL=C
DEBIAN_FRONTEND=noninteractive
export PATH LC_ALL DEBIAN_FRONTEND
unset LANGUAGE APT_CONFIG DPKG_ROOT

problem() {
    printf 'problem %s\n' "$*"
    exit 1
}

note() {
    printf 'note %s\n' "$*"
}
