/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the Manager, as clients read them: /options/NAME. */
#include "manager/rest/reading.h"

#include "gen/routes.h"
#include "model/config.h"

void vr_system_option_get(struct vr_reading *reading)
{
    const char *name = reading->ids[reading->id_count - 1];
    const struct vr_config_option *option = vr_config_find(name);
    if (!option || !reading->config)
        return;
    const char *version = vr_reading_param(reading, "version");
    struct vr_system_option *shown = VR_NEW(system_option);
    struct vr_system_option_value *value = VR_NEW(system_option_value);
    vr_set_id(shown, name);
    VR_SET_STRING(shown, name, name);
    VR_TAKE_STRING(value, value, vr_config_get(reading->config, option));
    VR_SET_STRING(value, version, version && *version ? version : "general");
    VR_APPEND(shown, values, value);
    reading->object = shown;
}
