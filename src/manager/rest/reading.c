/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/rest/reading.h"

char *vr_reading_id(const char *owner, const char *name)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    uint8_t digest[32];
    gsize length = sizeof(digest);
    char uuid[37];
    g_checksum_update(sum, (const guchar *)owner, -1);
    g_checksum_update(sum, (const guchar *)name, -1);
    g_checksum_get_digest(sum, digest, &length);
    vr_uuid_format(uuid, digest);
    return g_strdup(uuid);
}

void vr_reading_choose(struct vr_reading *reading, const char *id)
{
    for (unsigned i = 0; i < reading->list.len && !reading->object; i++)
        if (g_strcmp0(vr_id(reading->list.items[i]), id) == 0)
            reading->object = vr_ref(reading->list.items[i]);
    vr_list_clear_objects(&reading->list);
}
