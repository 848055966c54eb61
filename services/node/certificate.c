// certificate.c - the node's own certificate.
//
// SPDX-License-Identifier: Apache-2.0
#include "services/node/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VALID_S (10L * 365 * 24 * 3600)

static int
failed(struct sl_error *err, const char *what)
{
    sl_fail(err, SL_E_INTERNAL);
    return sl_error_detail(err, "default certificate: %s: %s", what, strerror(errno));
}

static int
add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    int added = extension == NULL ? 0 : X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return added == 1 ? 0 : -1;
}

static int
set_serial(X509 *certificate)
{
    uint64_t serial = 0;
    if (RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1) {
        return -1;
    }
    return ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1) == 1 ? 0
                                                                                             : -1;
}

// Fills and signs. -1: OpenSSL refused.
static int
fill(X509 *certificate, EVP_PKEY *key, const char *name)
{
    char names[320];
    snprintf(names, sizeof(names), "DNS:%s", name);
    X509_NAME *subject = X509_get_subject_name(certificate);
    if (X509_set_version(certificate, X509_VERSION_3) != 1 || set_serial(certificate) != 0 ||
        X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) == NULL ||
        X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_S) == NULL ||
        X509_set_pubkey(certificate, key) != 1 ||
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                   -1, 0) != 1 ||
        X509_set_issuer_name(certificate, subject) != 1 ||
        add_extension(certificate, NID_subject_alt_name, names) != 0 ||
        add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") != 0) {
        return -1;
    }
    return X509_sign(certificate, key, EVP_sha256()) > 0 ? 0 : -1;
}

// Writes one PEM file by rename; `key` NULL: the certificate.
static int
save(const char *path, X509 *certificate, EVP_PKEY *key, struct sl_error *err)
{
    char fresh[PATH_MAX];
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL) {
        return failed(err, fresh);
    }
    int written = key != NULL ? PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL)
                              : PEM_write_X509(file, certificate);
    int closed = fclose(file);
    if (written != 1 || closed != 0 || rename(fresh, path) != 0) {
        unlink(fresh);
        return failed(err, path);
    }
    return 0;
}

int
certificate_ensure(const char *state_dir, const char *name, struct sl_error *err)
{
    char certificate_path[PATH_MAX];
    char key_path[PATH_MAX];
    snprintf(certificate_path, sizeof(certificate_path), "%s/" CERTIFICATE_FILE, state_dir);
    snprintf(key_path, sizeof(key_path), "%s/" CERTIFICATE_KEY, state_dir);
    if (access(certificate_path, R_OK) == 0 && access(key_path, R_OK) == 0) {
        return 0;
    }
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    int status = 0;
    if (key == NULL || certificate == NULL || fill(certificate, key, name) != 0) {
        errno = EINVAL;
        status = failed(err, "make");
    } else {
        status = save(key_path, NULL, key, err);
        status = status == 0 ? save(certificate_path, certificate, NULL, err) : status;
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return status;
}
