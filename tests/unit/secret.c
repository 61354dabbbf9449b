/* Signatures of hooks: which are let in, with one secret and while it is replaced. Examples: GitHub's documentation, RFC 4231. */
#include "intake/secret.h"

#include "base/arena.h"
#include "base/crypto.h"
#include "tests/tap.h"
#include "tests/tmp.h"

static const struct dialect_signature sha256 = {.header = "X-Hub-Signature-256", .digest = "SHA256", .prefix = "sha256="};
static const struct dialect_signature token = {.header = "X-Gitlab-Token", .digest = NULL, .prefix = ""};

/* GitHub docs, "Validating webhook deliveries": their own test values. */
static const char github_secret[] = "It's a Secret to Everybody", github_body[] = "Hello, World!";
static const char github_header[] = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

/* As by a request that came in the turn `now`. */
static uint64_t now;

static bool good(struct secret_pair *pair, const struct dialect_signature *signature, const char *header, const char *body,
	enum err_kind *kind)
{
	struct err err = {.kind = ERR_NONE};
	struct secret_check *check = secret_begin(pair, signature, header, now, &err);
	bool result = false;

	if (check) {
		size_t length = strlen(body), half = length / 2;

		secret_add(check, body, half);
		secret_add(check, body + half, length - half);
		result = secret_good(check);
	}
	secret_end(check);
	if (kind)
		*kind = err.kind;
	return result;
}

/* The header for a body, signed with `secret`. */
static const char *sign(struct arena *arena, const char *secret, const char *body)
{
	struct err err = {.kind = ERR_NONE};
	struct crypto_hmac *hmac = crypto_hmac_new("SHA256", secret, strlen(secret), &err);
	unsigned char digest[CRYPTO_DIGEST_MAXIMUM];
	char hex[2 * CRYPTO_DIGEST_MAXIMUM + 1];

	crypto_hmac_add(hmac, body, strlen(body));
	crypto_hex(digest, crypto_hmac_end(hmac, digest), hex);
	crypto_hmac_free(hmac);
	return arena_printf(arena, "sha256=%s", hex);
}

static void one_secret(void)
{
	static const char *const bad[] = {
		"", "sha256=", "sha256", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
			"sha1=757107ea0eb2509fc211221cce984b8a37570b6d",
		"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1",
		"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1700",
		"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e18",
		"sha256=zz7107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
		"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17757107ea",
	};
	struct secret_pair *pair = secret_new(tmp_text("github", github_secret, 0600), NULL);
	enum err_kind kind;
	int wrong = 0;

	ok(good(pair, &sha256, github_header, github_body, NULL), "GitHub's own example is let in");
	ok(!good(pair, &sha256, github_header, "Hello, World", NULL), "another body is not");
	ok(!good(pair, &sha256, NULL, github_body, &kind) && kind == ERR_REFUSED, "no header is refused");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		wrong += good(pair, &sha256, bad[i], github_body, NULL);
	ok(wrong == 0, "nor is anything that only looks like it");
	secret_free(pair);
	pair = secret_new(tmp_path("nowhere"), NULL);
	ok(!good(pair, &sha256, github_header, github_body, &kind) && kind == ERR_NOT_FOUND, "no secret: nothing is let in");
	secret_free(pair);
	pair = secret_new(tmp_text("empty", "\n", 0600), NULL);
	ok(!good(pair, &sha256, github_header, github_body, &kind) && kind != ERR_NONE, "an empty secret: nothing is let in");
	secret_free(pair);
	pair = secret_new(tmp_text("open", github_secret, 0644), NULL);
	ok(!good(pair, &sha256, github_header, github_body, &kind) && kind == ERR_REFUSED,
		"a secret that others can read is not used");
	secret_free(pair);
	secret_free(NULL);
}

static void tokens(void)
{
	struct secret_pair *pair = secret_new(tmp_text("token", "tok\n", 0600), tmp_text("token.previous", "old", 0600));

	ok(good(pair, &token, "tok", "anything", NULL) && good(pair, &token, "old", "anything", NULL),
		"a token, current and previous");
	ok(!good(pair, &token, "to", "x", NULL) && !good(pair, &token, "tokk", "x", NULL) && !good(pair, &token, "", "x", NULL),
		"and no other");
	secret_free(pair);
}

static void rotation(void)
{
	struct arena *arena = arena_new();
	struct secret_pair *pair = secret_new(tmp_path("now"), tmp_path("before"));
	const char *one = sign(arena, "one", github_body), *two = sign(arena, "two", github_body);

	tmp_text("now", "one", 0600);
	ok(good(pair, &sha256, one, github_body, NULL) && !good(pair, &sha256, two, github_body, NULL), "one secret");
	rename(tmp_path("now"), tmp_path("before"));
	tmp_text("now", "two", 0600);
	ok(good(pair, &sha256, one, github_body, NULL) && good(pair, &sha256, two, github_body, NULL), "while it is replaced, both");
	unlink(tmp_path("before"));
	ok(!good(pair, &sha256, one, github_body, NULL) && good(pair, &sha256, two, github_body, NULL), "then the new one only");
	unlink(tmp_path("now"));
	ok(!good(pair, &sha256, two, github_body, NULL), "and none when it is gone");
	tmp_text("now", "one", 0600);
	now = 7;
	ok(good(pair, &sha256, one, github_body, NULL), "it is there again");
	tmp_text("now", "two", 0600);
	ok(good(pair, &sha256, one, github_body, NULL), "another one counts not yet for what came with the last request");
	now = 8;
	ok(!good(pair, &sha256, one, github_body, NULL) && good(pair, &sha256, two, github_body, NULL), "but for what comes then");
	now = 0;
	secret_free(pair);
	arena_free(arena);
}

int main(void)
{
	tmp_make();
	one_secret();
	tokens();
	rotation();
	return tap_done();
}
