/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/storage/iod.h"

#include <errno.h>

static json_object *get(struct iod_request *request, const char *key)
{
    json_object *value = NULL;
    json_object_object_get_ex(request->args, key, &value);
    return value;
}

const char *iod_string_or(struct iod_request *request, const char *key, const char *otherwise)
{
    json_object *value = get(request, key);
    if (!json_object_is_type(value, json_type_string))
        return otherwise;
    const char *text = json_object_get_string(value);
    /* A NUL inside would make us see another text than the sender. */
    if (strlen(text) != (size_t)json_object_get_string_len(value))
        return otherwise;
    return text;
}

const char *iod_string(struct iod_request *request, const char *key, struct vr_error **error)
{
    const char *text = iod_string_or(request, key, NULL);
    if (!text && !*error)
        vr_storage_error(error, invalid_parameter, "%s is missing.", key);
    return text;
}

const char *iod_uuid(struct iod_request *request, const char *key, struct vr_error **error)
{
    const char *text = iod_string(request, key, error);
    if (!text || vr_format_uuid_valid(text))
        return text;
    vr_storage_error(error, invalid_parameter, "%s is not a UUID.", key);
    return NULL;
}

bool iod_size(struct iod_request *request, const char *key, uint64_t *value,
              struct vr_error **error)
{
    json_object *object = get(request, key);
    errno = 0;
    int64_t number = object ? json_object_get_int64(object) : -1;
    /* Room is left for rounding up. */
    if (!object || errno || number < 0 || number > INT64_MAX - (int64_t)MiB(1)) {
        vr_storage_error(error, invalid_parameter, "%s is not a size.", key);
        return false;
    }
    *value = (uint64_t)number;
    return true;
}

int64_t iod_integer(struct iod_request *request, const char *key, int64_t otherwise)
{
    json_object *object = get(request, key);
    return object ? json_object_get_int64(object) : otherwise;
}

bool iod_bool(struct iod_request *request, const char *key)
{
    return json_object_get_boolean(get(request, key));
}

json_object *iod_true(void)
{
    return json_object_new_boolean(1);
}

void iod_put(json_object *object, const char *key, const char *value)
{
    if (value)
        json_object_object_add(object, key, json_object_new_string(value));
}

void iod_put_integer(json_object *object, const char *key, int64_t value)
{
    json_object_object_add(object, key, json_object_new_int64(value));
}

void iod_put_number(json_object *object, const char *key, uint64_t value)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);
    iod_put(object, key, text);
}
