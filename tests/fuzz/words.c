/* Names, addresses, times and digests as they come from outside. */
#include "base/crypto.h"
#include "forge/launchpad.h"
#include "forge/proposal.h"
#include "fuzz.h"

static void check_encodings(struct arena *arena, const char *text)
{
	unsigned char digest[CRYPTO_DIGEST_MAXIMUM];
	size_t length;
	char *plain = crypto_unbase64(arena, text, &length);
	int got = crypto_unhex(text, strlen(text), digest, sizeof digest);

	if (plain)
		MUST(length <= strlen(text));
	MUST(got <= (int)sizeof digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct arena *arena = arena_new();
	char *text = fuzz_text(bytes, length);
	const char *part, *identity = forge_identity(arena, text);

	if (identity)
		MUST(*identity);
	if (forge_name_valid(text))
		MUST(*text && strlen(text) <= 63 && !strchr(text, '/') && !strstr(text, ".."));
	if (forge_commit_valid(text))
		MUST(strlen(text) == 40 || strlen(text) == 64);
	if (launchpad_name_valid(text))
		MUST(*text && !strstr(text, "//"));
	if (launchpad_ref_valid(text, "refs/heads/"))
		MUST(strncmp(text, "refs/heads/", 11) == 0 && !strchr(text, ' '));
	part = launchpad_number_of(text);
	MUST(!part || strspn(part, "0123456789") == strlen(part));
	part = launchpad_below_root(text);
	MUST(!part || (part >= text && part <= text + strlen(text)));
	MUST(launchpad_time(text) >= -1);
	check_encodings(arena, text);
	free(text);
	arena_free(arena);
	return 0;
}
