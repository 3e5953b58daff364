/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * mark: by what hosts tell the Manager from each other, although one authority
 * signs for all of them (docs/decisions/012).
 *
 * The organizational unit in the subject of the Manager's certificate towards
 * hosts.  The authority writes it there, takes nothing but the key from what a
 * host asks to be signed, and never gives it to a host.
 */
#define VR_MANAGER_UNIT "Vireo Manager"
