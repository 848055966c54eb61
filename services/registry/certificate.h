// certificate.h - what the files of certificates and of their bindings share.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_REGISTRY_CERTIFICATE_H
#define SL_REGISTRY_CERTIFICATE_H

#include "services/registry/mutation.h"

// A certificate as it is to be stored. Borrowed from the command.
struct certificate {
    const char *id;       //
    const char *instance; // whose it is; NULL: of all gateways of the project
    const json_t *body;   // name, cert_content, private_key, trusted_root_ca
    bool by_domain;       // made with a binding; goes when that is deleted alone (3.12.6)
};

// Checks and stores a new certificate of the command's project. Refuses what sl_certificate_check()
// and sl_certificate_facts() refuse, RESOURCE_QUOTA (the project has its share) and CERT_EXISTS.
int certificate_insert(struct mutation *m, const struct certificate *certificate,
                       struct sl_error *err) SL_MUST_CHECK;

// The JSON of a certificate as clients see it (memory of the arena). CERT_NOT_FOUND.
int certificate_read_into(struct mutation *m, const char *id, const char **ret_text,
                          struct sl_error *err) SL_MUST_CHECK;

// Commands that meet take what they change in one order, each in order of ids: certificates, then
// the domains that show them, then these domains' groups. Locks the certificates of a JSON list of
// ids, so that nobody changes or deletes them until the end; what there is not is passed over.
int certificate_hold(struct mutation *m, const char *ids, struct sl_error *err) SL_MUST_CHECK;

// Domains that verify clients by an authority that none of their certificates has any more do so no
// longer: those of $1 project, $2 certificate.
int certificate_settle(struct mutation *m, const char *id, struct sl_error *err) SL_MUST_CHECK;

#endif
