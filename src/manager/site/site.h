/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * site: what a site is made of before any host: data centres, clusters, tags,
 * bookmarks, MAC pools and the objects that every installation ships with
 * (facts/rest-api.md 8.5).
 */

#include "manager/engine/call.h"

extern const struct vr_module vr_site_module;

#define VR_ID_DEFAULT_DATA_CENTER "58cfb470-02f3-03d7-0386-0000000003bc"
#define VR_ID_DEFAULT_CLUSTER "58cfb470-03b9-01d0-03b9-0000000001e7"
#define VR_ID_DEFAULT_MAC_POOL "58ca604b-017d-0374-0220-00000000014e"
#define VR_ID_MANAGEMENT_NETWORK "00000000-0000-0000-0000-000000000009"
#define VR_ID_MANAGEMENT_PROFILE "0000000a-000a-000a-000a-000000000398"
#define VR_ID_DEFAULT_CPU_PROFILE "58ca604e-01a7-003f-01de-000000000250"
#define VR_ID_NO_MAC_SPOOFING "d2370ab4-fee3-11e9-a310-8c1645ce738e"
#define VR_ID_POLICY_NONE "b4ed2332-a7ac-4d5f-9596-99a439cb2812"

/* Members of a new cluster that its maker left out. */
void vr_site_fill_cluster(struct vr_cluster *cluster, const struct vr_data_center *data_center);
/* A CPU profile with the cluster's name, and the management network attached: what every new cluster
 * comes with.  The data centre's network is the first that is marked for management. */
void vr_site_equip_cluster(struct vr_txn *txn, const struct vr_cluster *cluster)
    VR_REQUIRES(vr_role_engine);
/* ovirtmgmt and its vNIC profile for a new data centre. */
void vr_site_equip_data_center(struct vr_txn *txn, const struct vr_data_center *data_center)
    VR_REQUIRES(vr_role_engine);
