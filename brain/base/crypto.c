#include "base/crypto.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define KEY_MAXIMUM 16384

struct crypto_hmac {
	EVP_MAC_CTX *context;
};

struct crypto_key {
	EVP_PKEY *key;
};

/* Takes libcrypto's reason, and empties its queue. */
static int refuse(struct err *err, enum err_kind kind, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return err_set(err, kind, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
}

void crypto_hex(const void *bytes, size_t length, char *out)
{
	const unsigned char *byte = bytes;

	for (size_t i = 0; i < length; i++) {
		*out++ = "0123456789abcdef"[byte[i] >> 4];
		*out++ = "0123456789abcdef"[byte[i] & 15];
	}
	*out = '\0';
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int crypto_unhex(const char *text, size_t text_length, unsigned char *out, size_t room)
{
	if (text_length % 2 || text_length / 2 > room)
		return -1;
	for (size_t i = 0; i < text_length; i += 2) {
		int high = digit_value(text[i]);
		int low = digit_value(text[i + 1]);

		if (high < 0 || low < 0)
			return -1;
		out[i / 2] = (unsigned char)(high << 4 | low);
	}
	return (int)(text_length / 2);
}

char *crypto_sha256(const void *bytes, size_t length, char out[static CRYPTO_SHA256_HEX])
{
	unsigned char digest[32];

	if (!EVP_Q_digest(NULL, "SHA256", NULL, length ? bytes : "", length, digest, NULL))
		err_fatal("libcrypto cannot compute SHA-256");
	crypto_hex(digest, sizeof digest, out);
	return out;
}

size_t crypto_digest(const char *digest, const void *bytes, size_t length, unsigned char out[static CRYPTO_DIGEST_MAXIMUM])
{
	const EVP_MD *kind = EVP_get_digestbyname(digest);
	unsigned size = 0;

	return kind && EVP_Digest(bytes, length, out, &size, kind, NULL) == 1 ? size : 0;
}

int crypto_sha256_file(int fd, char out[static CRYPTO_SHA256_HEX], struct err *err)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	static unsigned char part[65536];
	unsigned char digest[32];
	off_t offset = 0;
	ssize_t length;

	if (!context || !EVP_DigestInit_ex(context, EVP_sha256(), NULL))
		err_fatal("libcrypto cannot compute SHA-256");
	while ((length = pread(fd, part, sizeof part, offset)) > 0 && EVP_DigestUpdate(context, part, (size_t)length))
		offset += length;
	if (length == 0 && EVP_DigestFinal_ex(context, digest, NULL))
		crypto_hex(digest, sizeof digest, out);
	EVP_MD_CTX_free(context);
	return length == 0 ? 0 : err_set_errno(err, errno, "cannot be read");
}

struct crypto_hmac *crypto_hmac_new(const char *digest, const void *key, size_t key_length, struct err *err)
{
	struct crypto_hmac *hmac = OPENSSL_zalloc(sizeof *hmac);
	char *name = OPENSSL_strdup(digest);
	OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0), OSSL_PARAM_construct_end()};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);

	if (!hmac || !name || !mac)
		err_fatal("libcrypto has no HMAC, or no memory");
	hmac->context = EVP_MAC_CTX_new(mac);
	/* A key of no bytes is a key for libcrypto only when the pointer is not NULL. */
	if (!hmac->context || !EVP_MAC_init(hmac->context, key_length ? key : (const void *)"", key_length, parameters)) {
		refuse(err, ERR_USAGE, "no such HMAC");
		crypto_hmac_free(hmac);
		hmac = NULL;
	}
	EVP_MAC_free(mac);
	OPENSSL_free(name);
	return hmac;
}

void crypto_hmac_add(struct crypto_hmac *hmac, const void *bytes, size_t length)
{
	if (length && !EVP_MAC_update(hmac->context, bytes, length))
		err_fatal("libcrypto cannot compute an HMAC");
}

size_t crypto_hmac_end(struct crypto_hmac *hmac, unsigned char out[static CRYPTO_DIGEST_MAXIMUM])
{
	size_t length = 0;

	if (!EVP_MAC_final(hmac->context, out, &length, CRYPTO_DIGEST_MAXIMUM))
		err_fatal("libcrypto cannot compute an HMAC");
	return length;
}

void crypto_hmac_again(struct crypto_hmac *hmac)
{
	if (!EVP_MAC_init(hmac->context, NULL, 0, NULL))
		err_fatal("libcrypto cannot compute an HMAC");
}

void crypto_hmac_free(struct crypto_hmac *hmac)
{
	if (!hmac)
		return;
	EVP_MAC_CTX_free(hmac->context);
	OPENSSL_free(hmac);
}

bool crypto_equal(const void *one, size_t one_length, const void *other, size_t other_length)
{
	return one_length == other_length && CRYPTO_memcmp(one, other, one_length) == 0;
}

void crypto_random_hex(size_t bytes, char *out)
{
	unsigned char part[64];

	*out = '\0';
	while (bytes) {
		size_t count = bytes < sizeof part ? bytes : sizeof part;

		if (RAND_bytes(part, (int)count) != 1)
			err_fatal("the system has no randomness");
		crypto_hex(part, count, out);
		out += 2 * count;
		bytes -= count;
	}
	OPENSSL_cleanse(part, sizeof part);
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *crypto_base64(struct arena *arena, const void *bytes, size_t length)
{
	const unsigned char *from = bytes;
	char *text = arena_alloc(arena, (length + 2) / 3 * 4 + 1);
	char *to = text;

	for (size_t i = 0; i < length; i += 3) {
		size_t left = length - i;
		unsigned bits = (unsigned)from[i] << 16;

		bits |= left > 1 ? (unsigned)from[i + 1] << 8 : 0;
		bits |= left > 2 ? (unsigned)from[i + 2] : 0;
		*to++ = base64_digits[bits >> 18];
		*to++ = base64_digits[bits >> 12 & 63];
		*to++ = left > 1 ? base64_digits[bits >> 6 & 63] : '=';
		*to++ = left > 2 ? base64_digits[bits & 63] : '=';
	}
	return text;
}

static int base64_value(char c)
{
	const char *found = c ? strchr(base64_digits, c) : NULL;

	return found ? (int)(found - base64_digits) : -1;
}

/* Four digits, of which the last `padding` are '='; the bits that they leave over must be 0. */
static int unbase64_group(const char *text, size_t padding, unsigned char out[static 3])
{
	unsigned bits = 0;

	for (size_t i = 0; i < 4; i++) {
		int value = i < 4 - padding ? base64_value(text[i]) : 0;

		if (value < 0 || (i >= 4 - padding && text[i] != '='))
			return -1;
		bits = bits << 6 | (unsigned)value;
	}
	if ((padding == 1 && bits & 0xff) || (padding == 2 && bits & 0xffff))
		return -1;
	out[0] = (unsigned char)(bits >> 16);
	out[1] = (unsigned char)(bits >> 8);
	out[2] = (unsigned char)bits;
	return 0;
}

char *crypto_unbase64(struct arena *arena, const char *text, size_t *length)
{
	size_t digits = strlen(text);
	size_t padding = digits && text[digits - 1] == '=' ? 1 : 0;
	unsigned char *bytes, *to;

	if (digits % 4)
		return NULL;
	if (padding && text[digits - 2] == '=')
		padding = 2;
	to = bytes = arena_alloc(arena, digits / 4 * 3 + 1);
	for (size_t i = 0; i < digits; i += 4, to += 3)
		if (unbase64_group(text + i, i + 4 == digits ? padding : 0, to) < 0)
			return NULL;
	*length = digits / 4 * 3 - padding;
	bytes[*length] = '\0';
	return (char *)bytes;
}

/* The PEM text of a key; NULL when libcrypto does not want to. `write` is one of PEM's functions. */
static BIO *pem_of(EVP_PKEY *key, bool private)
{
	/* BIO_s_secmem wipes what it held. */
	BIO *pem = BIO_new(private ? BIO_s_secmem() : BIO_s_mem());

	if (!pem)
		return NULL;
	if (private ? PEM_write_bio_PKCS8PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL) : PEM_write_bio_PUBKEY(pem, key))
		return pem;
	BIO_free(pem);
	return NULL;
}

static int write_pem(const char *path, EVP_PKEY *key, bool private, struct err *err)
{
	BIO *pem = pem_of(key, private);
	char *bytes = NULL;
	long length;
	int rc;

	if (!pem)
		return refuse(err, ERR_SYSTEM, "a key cannot be written as PEM");
	length = BIO_get_mem_data(pem, &bytes);
	rc = file_write(path, bytes, (size_t)length, private ? 0600 : 0644, err);
	BIO_free(pem);
	return rc;
}

int crypto_key_generate(const char *private_path, const char *public_path, struct err *err)
{
	struct stat st;
	EVP_PKEY *key;
	int rc = -1;

	if (lstat(private_path, &st) == 0)
		return err_set(err, ERR_REFUSED, "%s: a key is there already; remove it to have a new one", private_path);
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (!key)
		return refuse(err, ERR_SYSTEM, "no ed25519 key can be made");
	if (write_pem(public_path, key, false, err) == 0)
		rc = write_pem(private_path, key, true, err);
	EVP_PKEY_free(key);
	return rc;
}

/* Instead of a question on the terminal. */
static int no_password(char *buffer, int size, int writing, void *cookie)
{
	(void)buffer, (void)size, (void)writing, (void)cookie;
	return 0;
}

static struct crypto_key *key_from(const char *path, const char *pem, size_t length, bool private, struct err *err)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)length);
	EVP_PKEY *key = NULL;
	struct crypto_key *loaded;

	if (bio && private)
		key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	else if (bio)
		key = PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
	BIO_free(bio);
	ERR_clear_error();
	if (!key || EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) {
		err_set(err, ERR_INPUT, "%s: is not %s ed25519 key in PEM, without a pass phrase", path,
			private ? "a private" : "a public");
		EVP_PKEY_free(key);
		return NULL;
	}
	loaded = OPENSSL_zalloc(sizeof *loaded);
	if (!loaded)
		err_fatal("out of memory");
	loaded->key = key;
	return loaded;
}

struct crypto_key *crypto_key_load_private(const char *path, struct err *err)
{
	struct arena *arena = arena_new();
	size_t length = 0;
	char *pem = file_read_secret(arena, path, &length, err);
	struct crypto_key *key = pem ? key_from(path, pem, length, true, err) : NULL;

	if (pem)
		OPENSSL_cleanse(pem, length);
	arena_free(arena);
	return key;
}

struct crypto_key *crypto_key_load_public(const char *path, struct err *err)
{
	struct arena *arena = arena_new();
	size_t length = 0;
	char *pem = file_read(arena, path, KEY_MAXIMUM, &length, err);
	struct crypto_key *key = pem ? key_from(path, pem, length, false, err) : NULL;

	arena_free(arena);
	return key;
}

struct crypto_key *crypto_key_raw(const void *bytes, size_t length)
{
	EVP_PKEY *public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes, length);
	struct crypto_key *key;

	if (!public) {
		ERR_clear_error();
		return NULL;
	}
	key = calloc(1, sizeof *key);
	if (!key)
		err_fatal("out of memory");
	key->key = public;
	return key;
}

void crypto_key_free(struct crypto_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->key);
	OPENSSL_free(key);
}

int crypto_sign(const struct crypto_key *key, const void *bytes, size_t length, unsigned char out[static CRYPTO_SIGNATURE_SIZE],
	struct err *err)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t size = CRYPTO_SIGNATURE_SIZE;
	int rc = 0;

	if (!context || EVP_DigestSignInit(context, NULL, NULL, NULL, key->key) != 1 ||
		EVP_DigestSign(context, out, &size, bytes, length) != 1 || size != CRYPTO_SIGNATURE_SIZE)
		rc = refuse(err, ERR_SYSTEM, "cannot sign (is it a private key?)");
	EVP_MD_CTX_free(context);
	return rc;
}

bool crypto_verify(
	const struct crypto_key *key, const void *bytes, size_t length, const unsigned char *signature, size_t signature_length)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good;

	good = context && signature_length == CRYPTO_SIGNATURE_SIZE &&
		EVP_DigestVerifyInit(context, NULL, NULL, NULL, key->key) == 1 &&
		EVP_DigestVerify(context, signature, signature_length, bytes, length) == 1;
	EVP_MD_CTX_free(context);
	ERR_clear_error();
	return good;
}
