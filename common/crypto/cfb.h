// cfb.h - AES in CFB-128 mode under one key and one initialisation vector, for many short texts.
//
// The same first text block encrypts to the same bytes every time: whoever uses it must not take it
// for confidentiality. One thread at a time.
//
// SPDX-License-Identifier: Apache-2.0
#ifndef SL_CRYPTO_CFB_H
#define SL_CRYPTO_CFB_H

#include "common/base/str.h"

#define SL_CFB_IV_LEN 16 // bytes of an initialisation vector

struct sl_cfb;

// AES-128 for a key of 16 bytes, AES-256 for one of 32. NULL when key or iv has another length, or
// memory is out.
struct sl_cfb *sl_cfb_new(struct sl_str key, struct sl_str iv);
void sl_cfb_free(struct sl_cfb **cfb);

// Encrypts `text` into as many bytes at `ret_bytes`. False when libcrypto refuses.
bool sl_cfb_encrypt(struct sl_cfb *cfb, struct sl_str text, uint8_t *ret_bytes);

#endif
