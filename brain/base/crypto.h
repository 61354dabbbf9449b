/* What byoci needs of libcrypto (OpenSSL 3): digests, HMAC, ed25519, randomness, base64. The only file that includes openssl. */
#ifndef BYOCI_BASE_CRYPTO_H
#define BYOCI_BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

#define CRYPTO_SHA256_HEX 65 /* 64 digits and a NUL */
#define CRYPTO_DIGEST_MAXIMUM 64

/* Lower-case hex of SHA-256 of the bytes. Returns `out`. */
char *crypto_sha256(const void *bytes, size_t length, char out[static CRYPTO_SHA256_HEX]);

/* Of a whole file, however large, from its beginning; its offset stays. */
int crypto_sha256_file(int fd, char out[static CRYPTO_SHA256_HEX], struct err *err);

/* By an OpenSSL name ("SHA512"); the number of bytes put into `out`, 0 when it is not known. */
size_t crypto_digest(const char *digest, const void *bytes, size_t length, unsigned char out[static CRYPTO_DIGEST_MAXIMUM]);

/* HMAC over bytes as they arrive. `digest` is an OpenSSL name: "SHA1", "SHA256". */
struct crypto_hmac;
struct crypto_hmac *crypto_hmac_new(const char *digest, const void *key, size_t key_length, struct err *err);
void crypto_hmac_add(struct crypto_hmac *hmac, const void *bytes, size_t length);
/* Ends the computation; returns the number of bytes put into `out`. */
size_t crypto_hmac_end(struct crypto_hmac *hmac, unsigned char out[static CRYPTO_DIGEST_MAXIMUM]);
/* Begins anew with the same key. */
void crypto_hmac_again(struct crypto_hmac *hmac);
void crypto_hmac_free(struct crypto_hmac *hmac);

/* Constant time in the content; different lengths are unequal at once. */
bool crypto_equal(const void *one, size_t one_length, const void *other, size_t other_length);

/* `bytes` random bytes, as 2 * bytes lower-case hex digits and a NUL. Ends the process if the system has no randomness. */
void crypto_random_hex(size_t bytes, char *out);

void crypto_hex(const void *bytes, size_t length, char *out /* 2 * length + 1 */);
/* Strict: exactly 2 * room digits at most; returns the number of bytes, or -1. */
int crypto_unhex(const char *text, size_t text_length, unsigned char *out, size_t room);

/* Base64 without line breaks, in the arena. */
char *crypto_base64(struct arena *arena, const void *bytes, size_t length);
/* Strict (padding needed, nothing else allowed); NULL when it is not base64. NUL after *length bytes. */
char *crypto_unbase64(struct arena *arena, const char *text, size_t *length);

/* ed25519. Keys are PEM files: PKCS#8 (private, mode 0600 or refused) and SubjectPublicKeyInfo (public). */
struct crypto_key;
/* Makes both files (0600 and 0644). A private key that exists is never overwritten: ERR_REFUSED. */
int crypto_key_generate(const char *private_path, const char *public_path, struct err *err);
struct crypto_key *crypto_key_load_private(const char *path, struct err *err);
struct crypto_key *crypto_key_load_public(const char *path, struct err *err);
/* A public key from its 32 bytes; NULL when they are none. */
struct crypto_key *crypto_key_raw(const void *bytes, size_t length);
void crypto_key_free(struct crypto_key *key);
#define CRYPTO_SIGNATURE_SIZE 64
int crypto_sign(const struct crypto_key *key, const void *bytes, size_t length, unsigned char out[static CRYPTO_SIGNATURE_SIZE],
	struct err *err);
bool crypto_verify(const struct crypto_key *key, const void *bytes, size_t length, const unsigned char *signature,
	size_t signature_length);

#endif
