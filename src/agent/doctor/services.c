/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/doctor/internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/domain/domain.h"
#include "agent/helper/run.h"
#include "agent/lease/lease.h"

/* The daemons that the agent leans on, and its own. */

#define UNIT "vireo-agent.service"
#define START_S 50

bool vr_doctor_has_systemd(void)
{
    return access("/run/systemd/system", F_OK) == 0; /* sd_booted(3) */
}

bool vr_doctor_start_unit(struct vr_doctor *doctor, const char *unit, struct vr_error **error)
{
    const char *const argv[] = { "systemctl", "start", unit, NULL };
    return vr_doctor_run(argv, START_S, error);
}

static bool start_libvirt(struct vr_doctor *doctor, const char *unit, struct vr_error **error)
{
    g_autofree char *text = NULL;
    return vr_doctor_start_unit(doctor, unit, error) &&
           vr_domains_probe(doctor->config, &text, error);
}

void vr_doctor_libvirt(struct vr_doctor *doctor)
{
    vr_auto_error struct vr_error *error = NULL;
    g_autofree char *text = NULL;
    if (vr_domains_probe(doctor->config, &text, &error)) {
        vr_doctor_ok(doctor, "%s", text);
        return;
    }
    g_autofree char *why = vr_error_text(error);
    vr_doctor_wrong(doctor, vr_doctor_has_systemd() ? start_libvirt : NULL, "libvirtd.service",
                    "start libvirtd", "%s", why);
}

static bool start_sanlock(struct vr_doctor *doctor, const char *unit, struct vr_error **error)
{
    return vr_doctor_start_unit(doctor, unit, error) && vr_lease_daemon_answers(error);
}

void vr_doctor_sanlock(struct vr_doctor *doctor)
{
    vr_auto_error struct vr_error *error = NULL;
    if (vr_lease_daemon_answers(&error)) {
        vr_doctor_ok(doctor, "it answers");
        return;
    }
    g_autofree char *why = vr_error_text(error);
    vr_doctor_wrong(doctor, vr_doctor_has_systemd() ? start_sanlock : NULL, "sanlock.service",
                    "start sanlock; journalctl -u sanlock says why it does not", "%s", why);
}

/* --- the agent's own unit --- */

static bool enable(struct vr_doctor *doctor, const char *unit, struct vr_error **error)
{
    const char *const argv[] = { "systemctl", "enable", unit, NULL };
    return vr_doctor_run(argv, START_S, error);
}

/* "active", "inactive", "failed" and so on; owned. */
static char *state_of(const char *question)
{
    struct vr_run run = { .argv = (const char *const[]){ "systemctl", question, UNIT, NULL },
                          .deadline_ms = START_S * 1000 };
    vr_auto_error struct vr_error *ignored = NULL; /* it is the answer that counts */
    (void)vr_run(&run, &ignored);
    char *state = g_strdup(run.output ? g_strstrip(run.output) : "");
    vr_run_done(&run);
    return state;
}

static bool start_agent(struct vr_doctor *doctor, const char *unit, struct vr_error **error)
{
    if (!vr_doctor_start_unit(doctor, unit, error))
        return false;
    g_autofree char *state = state_of("is-active");
    if (!strcmp(state, "active"))
        return true;
    vr_error_set(error, &vr_fault_system, "It is %s; systemctl status %s says why.", state, unit);
    return false;
}

void vr_doctor_service(struct vr_doctor *doctor)
{
    if (!vr_doctor_has_systemd()) {
        vr_doctor_note(doctor, "systemd does not run this machine.");
        return;
    }
    g_autofree char *enabled = state_of("is-enabled");
    if (!*enabled) {
        vr_doctor_note(doctor, "There is no %s here.", UNIT);
        return;
    }
    if (strcmp(enabled, "enabled") != 0)
        vr_doctor_wrong(doctor, enable, UNIT, "enable it", "%s is %s: it does not start at boot.",
                        UNIT, enabled);
    g_autofree char *active = state_of("is-active");
    if (!strcmp(active, "active"))
        vr_doctor_ok(doctor, "%s is active", UNIT);
    else
        vr_doctor_wrong(doctor, start_agent, UNIT, "start it", "%s is %s.", UNIT, active);
}
