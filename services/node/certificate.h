// certificate.h - the node's own certificate, served where no domain has one.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_NODE_CERTIFICATE_H
#define SL_NODE_CERTIFICATE_H

#include "common/base/error.h"

#define CERTIFICATE_FILE "default.crt" // in the state directory
#define CERTIFICATE_KEY  "default.key"

// Makes a self-signed P-256 certificate for `name` and its key (mode 0600) in `state_dir`, unless
// both are there.
int certificate_ensure(const char *state_dir, const char *name, struct sl_error *err) SL_MUST_CHECK;

#endif
