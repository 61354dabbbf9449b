/* The line a landing daemon signs: as it comes, and with the input as its payload, rightly signed. */
#include "forge/landed.h"
#include "fuzz.h"
#include "tests/tmp.h"

static struct crypto_key *private, *public;

static void make_keys(void)
{
	const char *private_path, *public_path;
	struct err err;

	tmp_make();
	private_path = tmp_path("private");
	public_path = tmp_path("public");
	MUST(crypto_key_generate(private_path, public_path, &err) == 0);
	private = crypto_key_load_private(private_path, &err);
	public = crypto_key_load_public(public_path, &err);
	MUST(private && public);
}

static char *sign(struct arena *arena, const uint8_t *bytes, size_t length)
{
	char *head = arena_printf(arena, "byoci-landed-1 %s", crypto_base64(arena, bytes, length));
	unsigned char signature[CRYPTO_SIGNATURE_SIZE];
	struct err err;

	MUST(crypto_sign(private, head, strlen(head), signature, &err) == 0);
	return arena_printf(arena, "%s %s", head, crypto_base64(arena, signature, sizeof signature));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct arena *arena = arena_new();
	struct err err = {.kind = ERR_NONE};
	char *line = fuzz_text(bytes, length);
	struct landed landed;

	if (!private)
		make_keys();
	MUST(landed_read_line(arena, line, public, &landed, &err) < 0 && (err.kind == ERR_INPUT || err.kind == ERR_REFUSED));
	err_clear(&err);
	if (landed_read_line(arena, sign(arena, bytes, length), public, &landed, &err) == 0) {
		char *signed_again = landed_sign_line(arena, &landed, private, &err);

		MUST(signed_again && landed_read_line(arena, signed_again, public, &landed, &err) == 0);
	} else {
		MUST(err.kind == ERR_INPUT);
	}
	free(line);
	arena_free(arena);
	return 0;
}
