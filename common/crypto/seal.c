// seal.c - see seal.h.
//
// SPDX-License-Identifier: Apache-2.0
#include "common/crypto/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crypto/crypto.h"
#include "common/crypto/fetched.h"

#define VERSION    1
#define KEY_ID_LEN 4
#define NONCE_LEN  12
#define TAG_LEN    16
#define NONCE_AT   (1 + KEY_ID_LEN)
#define TEXT_AT    (NONCE_AT + NONCE_LEN)
#define KEY_HEX    (2 * SL_SEAL_KEY_LEN)

typedef EVP_CIPHER_CTX cipher_ctx;

static void
cipher_ctx_drop(cipher_ctx **ctx)
{
    EVP_CIPHER_CTX_free(*ctx);
}

#define AUTO_CIPHER __attribute__((cleanup(cipher_ctx_drop))) cipher_ctx *

static void
close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

int
sl_seal_key_load(const char *path, struct sl_seal_key *ret_key, struct sl_error *err)
{
    __attribute__((cleanup(close_fd))) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        sl_fail(err, SL_E_CONFIG, "the sealing key's file cannot be read");
        return sl_error_detail(err, "%s: %s", path, strerror(errno));
    }
    if ((st.st_mode & S_IRWXO) != 0) {
        sl_fail(err, SL_E_CONFIG, "the sealing key's file is open to others");
        return sl_error_detail(err, "%s: mode %o", path, st.st_mode & 0777U);
    }
    char text[KEY_HEX + 2]; // one more than a newline, so that a longer file is noticed
    ssize_t len = read(fd, text, sizeof(text));
    if (len == KEY_HEX + 1 && text[KEY_HEX] == '\n') {
        len = KEY_HEX;
    }
    struct sl_seal_key key = {{0}};
    bool ok =
        len == KEY_HEX && sl_hex_decode((struct sl_str){text, KEY_HEX}, key.bytes, SL_SEAL_KEY_LEN);
    if (ok) {
        *ret_key = key;
    }
    sl_wipe(text, sizeof(text));
    sl_wipe(&key, sizeof(key));
    if (!ok) {
        sl_fail(err, SL_E_CONFIG, "the sealing key's file does not hold 64 hex digits");
        return sl_error_detail(err, "%s", path);
    }
    return 0;
}

static void
key_id(const struct sl_seal_key *key, uint8_t ret_id[KEY_ID_LEN])
{
    uint8_t digest[SL_SHA256_LEN];
    sl_sha256((struct sl_str){(const char *)key->bytes, SL_SEAL_KEY_LEN}, digest);
    memcpy(ret_id, digest, KEY_ID_LEN);
}

// Length as OpenSSL takes it; -1 for what it cannot take.
static int
int_len(struct sl_str s)
{
    return s.len <= INT32_MAX ? (int)s.len : -1;
}

int
sl_seal(struct sl_arena *arena, const struct sl_seal_key *key, struct sl_str context,
        struct sl_str plain, struct sl_str *ret_sealed, struct sl_error *err)
{
    uint8_t *out = NULL;
    if (int_len(plain) >= 0 && int_len(context) >= 0) {
        out = sl_arena_alloc(arena, plain.len + SL_SEAL_OVERHEAD);
    }
    AUTO_CIPHER ctx = EVP_CIPHER_CTX_new();
    if (out == NULL || ctx == NULL) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "no memory to seal %zu bytes", plain.len);
    }
    out[0] = VERSION;
    key_id(key, out + 1);
    sl_random(out + NONCE_AT, NONCE_LEN);
    int len = 0;
    bool ok =
        EVP_EncryptInit_ex2(ctx, fetched_cipher(), key->bytes, out + NONCE_AT, NULL) == 1 &&
        EVP_EncryptUpdate(ctx, NULL, &len, (const uint8_t *)context.ptr, int_len(context)) == 1;
    if (ok && plain.len > 0) {
        ok = EVP_EncryptUpdate(ctx, out + TEXT_AT, &len, (const uint8_t *)plain.ptr,
                               int_len(plain)) == 1;
    }
    ok = ok && EVP_EncryptFinal_ex(ctx, out + TEXT_AT + plain.len, &len) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, out + TEXT_AT + plain.len) == 1;
    if (!ok) {
        sl_fail(err, SL_E_INTERNAL);
        return sl_error_detail(err, "sealing failed");
    }
    *ret_sealed = (struct sl_str){(char *)out, plain.len + SL_SEAL_OVERHEAD};
    return 0;
}

// Decrypts `text`; false when tag or context do not fit. `tag` follows the text.
static bool
open_text(const struct sl_seal_key *key, struct sl_str context, const uint8_t *nonce,
          struct sl_str text, uint8_t *out)
{
    AUTO_CIPHER ctx = EVP_CIPHER_CTX_new();
    uint8_t tag[TAG_LEN];
    memcpy(tag, text.ptr + text.len, TAG_LEN);
    int len = 0;
    bool ok =
        ctx != NULL && EVP_DecryptInit_ex2(ctx, fetched_cipher(), key->bytes, nonce, NULL) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1 &&
        EVP_DecryptUpdate(ctx, NULL, &len, (const uint8_t *)context.ptr, int_len(context)) == 1;
    if (ok && text.len > 0) {
        ok = EVP_DecryptUpdate(ctx, out, &len, (const uint8_t *)text.ptr, int_len(text)) == 1;
    }
    return ok && EVP_DecryptFinal_ex(ctx, out + text.len, &len) == 1;
}

int
sl_unseal(struct sl_arena *arena, const struct sl_seal_key *key, struct sl_str context,
          struct sl_str sealed, struct sl_str *ret_plain, struct sl_error *err)
{
    if (sealed.len < SL_SEAL_OVERHEAD || sealed.ptr[0] != VERSION || int_len(sealed) < 0 ||
        int_len(context) < 0) {
        sl_fail(err, SL_E_SEAL_BROKEN);
        return sl_error_detail(err, "not a sealed value");
    }
    uint8_t id[KEY_ID_LEN];
    key_id(key, id);
    if (memcmp(id, sealed.ptr + 1, KEY_ID_LEN) != 0) {
        sl_fail(err, SL_E_SEAL_BROKEN);
        return sl_error_detail(err, "sealed under another key");
    }
    struct sl_str text = {sealed.ptr + TEXT_AT, sealed.len - SL_SEAL_OVERHEAD};
    uint8_t *out = sl_arena_alloc(arena, text.len + 1); // terminated, for those who expect text
    if (out == NULL) {
        return sl_fail(err, SL_E_INTERNAL);
    }
    if (!open_text(key, context, (const uint8_t *)sealed.ptr + NONCE_AT, text, out)) {
        sl_wipe(out, text.len);
        sl_fail(err, SL_E_SEAL_BROKEN);
        return sl_error_detail(err, "damaged, or sealed for another place");
    }
    *ret_plain = (struct sl_str){(char *)out, text.len};
    return 0;
}

void
sl_seal_lookup(const struct sl_seal_key *key, struct sl_str context, struct sl_str plain,
               char ret_hex[SL_SHA256_HEX])
{
    // The first HMAC makes a key of its own for each context, so columns cannot be compared.
    uint8_t mac[SL_SHA256_LEN];
    struct sl_hmac *hmac = sl_hmac_new((struct sl_str){(const char *)key->bytes, SL_SEAL_KEY_LEN});
    assert(hmac != NULL);
    sl_hmac_sign(hmac, context, mac);
    sl_hmac_free(&hmac);
    hmac = sl_hmac_new((struct sl_str){(const char *)mac, sizeof(mac)});
    assert(hmac != NULL);
    sl_hmac_sign(hmac, plain, mac);
    sl_hmac_free(&hmac);
    sl_hex_encode(mac, sizeof(mac), ret_hex);
}
