/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fence: what a power agent may be told.
 *
 * The Manager checks it when an agent is defined, the host before it runs the
 * program, so that whoever defines agents does not thereby run programs or
 * write files on hosts.  Only options that are listed pass: those which the
 * programs of fence-agents 4.12 behind the Manager's types of agents tell of
 * themselves (`fence_X -o metadata`), without
 *
 * - paths of programs, scripts and SSH options, by which the host would run
 *   what the option says (password_script goes to a shell);
 * - files to read or write (debug_file, identity_file);
 * - what changes the order itself: action, help and version make the program
 *   end well without having cut any power; port_as_ip changes the address;
 * - verbose, which puts passwords into the program's messages and so into logs.
 *
 * The programs put many values into a command line of theirs unquoted
 * (`ipmitool -C VALUE`, `ssh USER@ADDRESS`), so those must be single words.
 */

#include "base/base.h"

/* What is wrong with an option, as an owned sentence; NULL when it may be told.  @value may be
 * NULL; @name is as the program or the Manager has it, `power_wait` or `power-wait`. */
char *vr_fence_option_problem(const char *name, const char *value);
/* The same for the device's address and the user name there. */
char *vr_fence_address_problem(const char *address);
char *vr_fence_login_problem(const char *login);
