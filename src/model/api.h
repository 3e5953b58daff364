/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The types, enums and kinds of model/api/. */
#include "model/model.h"
#include "gen/model_api.h"
#include "gen/faults.h"
