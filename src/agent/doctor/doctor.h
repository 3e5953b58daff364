/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * doctor: `vireo-agentd doctor`: what on this host keeps it from working, and
 * what can be mended without anybody's help.
 */

/* The command, after its name; returns the exit status: 0 all is well, 1 something is wrong, 2 the
 * command line is. */
int vr_doctor_main(int argc, char **argv);
