/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Two types made by hand, with a field of every kind, shape and flag: the
 * walkers' tests do not depend on what the schema says today.
 */

#include "model/model.h"

enum vr_color { VR_COLOR_RED, VR_COLOR_DARK_BLUE, VR_COLOR_LIGHT_GREEN };
extern const struct vr_enum vr_enum_color;

struct vr_part {
    struct vr_object base;
    struct {
        bool name : 1;
        bool size : 1;
        bool part : 1;
    } has;
    char *name;
    int64_t size;
    struct vr_part *part;
};
extern const struct vr_type vr_type_part;

struct vr_thing {
    struct vr_object base;
    struct {
        bool id : 1;
        bool name : 1;
        bool description : 1;
        bool zone : 1;
        bool flag : 1;
        bool count : 1;
        bool natural : 1;
        bool big : 1;
        bool ratio : 1;
        bool when : 1;
        bool color : 1;
        bool words : 1;
        bool colors : 1;
        bool numbers : 1;
        bool flags : 1;
        bool ratios : 1;
        bool dates : 1;
        bool part : 1;
        bool parts : 1;
        bool owner : 1;
        bool friends : 1;
        bool labels : 1;
        bool sizes : 1;
        bool parts_by_name : 1;
        bool raw : 1;
        bool raws : 1;
        bool hidden : 1;
        bool password : 1;
    } has;
    char *id, *name, *description, *zone;
    bool flag;
    int64_t count, natural, big;
    double ratio;
    int64_t when;
    enum vr_color color;
    struct vr_list words, colors, numbers, flags, ratios, dates;
    struct vr_part *part;
    struct vr_list parts;
    struct vr_thing *owner;
    struct vr_list friends;
    struct vr_map labels, sizes, parts_by_name;
    char *raw;
    struct vr_list raws;
    char *hidden, *password;
};
extern const struct vr_type vr_type_thing;

/* A thing with every field set. */
struct vr_thing *vr_test_thing(void);
