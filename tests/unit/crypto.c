#include "base/crypto.h"

#include "base/file.h"
#include "tests/tap.h"
#include "tests/tmp.h"

static void fill(unsigned char *bytes, size_t length, int value)
{
	memset(bytes, value, length);
}

/* RFC 4231: HMAC-SHA-256, its seven cases (the fifth is cut to 128 bits there). */
static void test_rfc4231(void)
{
	unsigned char count[25], aa20[20], aa131[131], dd50[50], cd50[50], b20[20], c20[20];
	const struct {
		const void *key;
		size_t key_length;
		const void *data;
		size_t length;
		const char *hex;
	} cases[] = {
		{b20, 20, "Hi There", 8, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"Jefe", 4, "what do ya want for nothing?", 28,
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{aa20, 20, dd50, 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		{count, 25, cd50, 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
		{c20, 20, "Test With Truncation", 20, "a3b6167473100ee06e0c796c2955552b"},
		{aa131, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
		{aa131, 131,
			"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being "
			"used by the HMAC algorithm.",
			152, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
	};

	for (size_t i = 0; i < sizeof count; i++)
		count[i] = (unsigned char)(i + 1);
	fill(aa20, 20, 0xaa), fill(aa131, 131, 0xaa), fill(dd50, 50, 0xdd), fill(cd50, 50, 0xcd), fill(b20, 20, 0x0b),
		fill(c20, 20, 0x0c);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		unsigned char digest[CRYPTO_DIGEST_MAXIMUM];
		char hex[2 * CRYPTO_DIGEST_MAXIMUM + 1];
		struct err err;
		struct crypto_hmac *hmac = crypto_hmac_new("SHA256", cases[i].key, cases[i].key_length, &err);
		size_t half = cases[i].length / 2;

		crypto_hmac_add(hmac, cases[i].data, half);
		crypto_hmac_add(hmac, "", 0);
		crypto_hmac_add(hmac, (const char *)cases[i].data + half, cases[i].length - half);
		ok(crypto_hmac_end(hmac, digest) == 32, "32 bytes");
		crypto_hex(digest, strlen(cases[i].hex) / 2, hex);
		is(hex, cases[i].hex, "RFC 4231");
		crypto_hmac_free(hmac);
	}
}

static void test_hmac_others(void)
{
	unsigned char digest[CRYPTO_DIGEST_MAXIMUM];
	char hex[2 * CRYPTO_DIGEST_MAXIMUM + 1];
	struct err err;
	struct crypto_hmac *hmac = crypto_hmac_new("SHA1", "Jefe", 4, &err); /* RFC 2202, case 2 */

	crypto_hmac_add(hmac, "what do ya want for nothing?", 28);
	crypto_hex(digest, crypto_hmac_end(hmac, digest), hex);
	is(hex, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79", "HMAC-SHA1");
	crypto_hmac_free(hmac);
	hmac = crypto_hmac_new("SHA256", NULL, 0, &err);
	crypto_hex(digest, crypto_hmac_end(hmac, digest), hex);
	is(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad", "an empty key and an empty text");
	crypto_hmac_free(hmac);
	err_clear(&err);
	ok(!crypto_hmac_new("MD0", "k", 1, &err) && err.kind == ERR_USAGE, "an unknown digest is an error");
	crypto_hmac_free(NULL);
}

static void test_digests(void)
{
	char hex[CRYPTO_SHA256_HEX], one[33], other[33], longer[401];

	is(crypto_sha256("abc", 3, hex), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"SHA-256 of abc (FIPS 180)");
	is(crypto_sha256(NULL, 0, hex), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "SHA-256 of nothing");
	ok(crypto_equal("abc", 3, "abc", 3) && crypto_equal("", 0, "", 0), "equal");
	ok(!crypto_equal("abc", 3, "abd", 3) && !crypto_equal("abc", 3, "abcd", 4) && !crypto_equal("abc", 3, "", 0),
		"not equal");
	crypto_random_hex(16, one);
	crypto_random_hex(16, other);
	ok(strlen(one) == 32 && strspn(one, "0123456789abcdef") == 32, "random hex digits");
	ok(strcmp(one, other) != 0, "… other ones each time");
	crypto_random_hex(200, longer);
	ok(strlen(longer) == 400, "as many as wanted");
	crypto_random_hex(0, one);
	is(one, "", "or none");
}

static void test_hex(void)
{
	unsigned char bytes[4] = {0};
	char hex[9];

	crypto_hex("\x00\xff\x7f\x80", 4, hex);
	is(hex, "00ff7f80", "hex");
	ok(crypto_unhex("00ff7F80", 8, bytes, 4) == 4 && memcmp(bytes, "\x00\xff\x7f\x80", 4) == 0, "unhex, both cases");
	ok(crypto_unhex("", 0, bytes, 4) == 0, "of nothing");
	ok(crypto_unhex("0", 1, bytes, 4) < 0, "an odd digit is refused");
	ok(crypto_unhex("0g", 2, bytes, 4) < 0 && crypto_unhex("/0", 2, bytes, 4) < 0 && crypto_unhex(" 0", 2, bytes, 4) < 0,
		"other characters are");
	ok(crypto_unhex("0\0", 2, bytes, 4) < 0, "a NUL is");
	ok(crypto_unhex("0011223344", 10, bytes, 4) < 0, "more than there is room for is");
	ok(crypto_unhex("0x11", 4, bytes, 4) < 0, "0x is");
}

static void test_base64(struct arena *arena)
{
	static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"}; /* RFC 4648, section 10 */
	static const char *const coded[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
	static const char *const bad[] = {"Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm8=Zm8=", "Zg==\n",
		"\nZg==", "Zg ==", "Zm-_", "=Zg=", "====", "Z===", "Zg=A", "Zm9v\xc3\xa9==", "Zm 8"};
	unsigned char all[256];
	size_t length = 99;
	char *back;

	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
		is(crypto_base64(arena, plain[i], strlen(plain[i])), coded[i], "base64 (RFC 4648)");
		is(crypto_unbase64(arena, coded[i], &length), plain[i], "and back");
		ok(length == strlen(plain[i]), "its length");
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ok(!crypto_unbase64(arena, bad[i], &length),
			bad[i][0] == '\n' || strchr(bad[i], '\n') ? "a newline is refused" : bad[i]);
	for (size_t i = 0; i < sizeof all; i++)
		all[i] = (unsigned char)(255 - i);
	back = crypto_unbase64(arena, crypto_base64(arena, all, sizeof all), &length);
	ok(back && length == sizeof all && memcmp(back, all, sizeof all) == 0, "every byte survives");
}

/* RFC 8032, section 7.1, test 2: the key in PKCS#8 and SubjectPublicKeyInfo. */
static void test_rfc8032(struct arena *arena)
{
	static const char secret[] = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
	static const char public[] = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
	static const char wanted[] =
		"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
	unsigned char der[48], spki[44], signature[CRYPTO_SIGNATURE_SIZE];
	char hex[2 * CRYPTO_SIGNATURE_SIZE + 1];
	struct err err;
	struct crypto_key *key, *checker;
	const char *pem;

	crypto_unhex("302e020100300506032b657004220420", 32, der, 16);
	crypto_unhex(secret, 64, der + 16, 32);
	crypto_unhex("302a300506032b6570032100", 24, spki, 12);
	crypto_unhex(public, 64, spki + 12, 32);
	pem = arena_printf(
		arena, "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n", crypto_base64(arena, der, sizeof der));
	key = crypto_key_load_private(tmp_text("rfc.key", pem, 0600), &err);
	pem = arena_printf(
		arena, "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n", crypto_base64(arena, spki, sizeof spki));
	checker = crypto_key_load_public(tmp_text("rfc.pub", pem, 0644), &err);
	if (ok(key && checker, "keys in PEM are read")) {
		ok(crypto_sign(key, "\x72", 1, signature, &err) == 0, "signed");
		crypto_hex(signature, sizeof signature, hex);
		is(hex, wanted, "RFC 8032's signature");
		ok(crypto_verify(checker, "\x72", 1, signature, sizeof signature), "its public key verifies it");
	}
	crypto_key_free(key);
	crypto_key_free(checker);
}

static void test_keys(void)
{
	unsigned char signature[CRYPTO_SIGNATURE_SIZE];
	struct err err;
	const char *private = tmp_path("k"), *public = tmp_path("k.pub");
	struct crypto_key *key, *checker, *other;
	struct stat st;
	bool each = true;

	ok(crypto_key_generate(private, public, &err) == 0, "a pair is made");
	ok(stat(private, &st) == 0 && (st.st_mode & 07777) == 0600, "the private key is 0600");
	ok(stat(public, &st) == 0 && (st.st_mode & 07777) == 0644, "the public key is 0644");
	ok(crypto_key_generate(private, tmp_path("k2.pub"), &err) < 0 && err.kind == ERR_REFUSED, "it is not overwritten");
	ok(access(tmp_path("k2.pub"), F_OK) < 0, "… and no public key is left that fits nothing");
	crypto_key_generate(tmp_path("o"), tmp_path("o.pub"), &err);
	key = crypto_key_load_private(private, &err);
	checker = crypto_key_load_public(public, &err);
	other = crypto_key_load_public(tmp_path("o.pub"), &err);
	ok(crypto_sign(key, "message", 7, signature, &err) == 0 && crypto_verify(checker, "message", 7, signature, 64),
		"signed and verified");
	ok(!crypto_verify(other, "message", 7, signature, 64), "not by another key");
	ok(!crypto_verify(checker, "messagf", 7, signature, 64) && !crypto_verify(checker, "message", 6, signature, 64),
		"not over other bytes");
	ok(!crypto_verify(checker, "message", 7, signature, 63) && !crypto_verify(checker, "message", 7, signature, 0),
		"not of another length");
	for (size_t i = 0; i < sizeof signature; i++) {
		signature[i] ^= 1;
		each = each && !crypto_verify(checker, "message", 7, signature, 64);
		signature[i] ^= 1;
	}
	ok(each, "no byte of it can be changed");
	ok(crypto_sign(checker, "message", 7, signature, &err) < 0, "a public key cannot sign");
	crypto_key_free(key), crypto_key_free(checker), crypto_key_free(other);
	crypto_key_free(NULL);
}

static void test_bad_keys(void)
{
	struct err err;
	const char *path = tmp_path("k");

	chmod(path, 0640);
	ok(!crypto_key_load_private(path, &err) && err.kind == ERR_REFUSED, "a private key that others may read is refused");
	chmod(path, 0600);
	ok(!crypto_key_load_public(path, &err) && err.kind == ERR_INPUT, "a private key is no public one");
	ok(!crypto_key_load_private(tmp_text("bad", "rubbish\n", 0600), &err) && err.kind == ERR_INPUT, "rubbish is no key");
	ok(!crypto_key_load_public(tmp_path("none"), &err) && err.kind == ERR_NOT_FOUND, "nor is nothing");
}

int main(void)
{
	struct arena *arena = arena_new();

	tmp_make();
	test_rfc4231();
	test_hmac_others();
	test_digests();
	test_hex();
	test_base64(arena);
	test_rfc8032(arena);
	test_keys();
	test_bad_keys();
	arena_free(arena);
	return tap_done();
}
