/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * pickle: the blob beside a saved machine's memory, which other agents read: a
 * dictionary of texts as Python's pickle, protocol 2, padded with NULs to a
 * multiple of 4096 (facts/host-rpc.md 10.2).  Ours restore without it.
 */

#include "base/base.h"

/* @pairs: key, value, key, value, ..., NULL.  Owned. */
GByteArray *vr_pickle_dict(const char *const *pairs);
