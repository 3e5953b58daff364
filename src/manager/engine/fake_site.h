/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * fake_site: what a fake world's database holds when its engine starts:
 * site_new(), site_add() for each object, site_start().  Include it once, in
 * the test's source.
 */

#include "manager/engine/fake.h"

static GArray *site_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(struct vr_change));
}

/* Takes @object, which has its id. */
static void site_add(GArray *site, int kind, void *object)
{
    g_array_append_val(site, ((struct vr_change){ kind, (char *)(uintptr_t)vr_id(object), object }));
}

/* Takes @site; the engine has begun and nothing is left to do.  fake_free() ends it. */
static struct fake *site_start(GArray *site) VR_REQUIRES(vr_role_engine);
static struct fake *site_start(GArray *site)
{
    struct fake *fake = fake_new(site);
    for (unsigned i = 0; i < site->len; i++)
        vr_unref((void *)(uintptr_t)g_array_index(site, struct vr_change, i).after);
    g_array_free(site, TRUE);
    fake_settle(fake);
    return fake;
}
