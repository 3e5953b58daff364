/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The types and verbs of model/host/. */
#include "model/model.h"
#include "gen/model_host.h"
#include "gen/verbs.h"
#include "gen/faults.h"
