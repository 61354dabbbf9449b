/* allowed_signers up to a NUL, and behind it the bytes of an ssh signature of the line below. */
#include "base/crypto.h"
#include "git/sshsig.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static const char message[] = "{\"byoci\":1}\n";
	struct arena *arena = arena_new();
	char *allowed = fuzz_text(bytes, length);
	size_t skip = strlen(allowed) + 1 < length ? strlen(allowed) + 1 : length;
	struct sshsig signature = {.namespace = "byoci-record@v1", .message = message, .length = sizeof message - 1};
	const char *who;

	signature.armored = arena_printf(arena, "-----BEGIN SSH SIGNATURE-----\n%s\n-----END SSH SIGNATURE-----\n",
		crypto_base64(arena, bytes + skip, length - skip));
	who = sshsig_signer(arena, &signature, allowed);
	MUST(!who || (*who && strstr(allowed, who) && !strpbrk(who, ",*?! \t\n")));
	signature.armored = allowed; /* as it came */
	MUST(!sshsig_signer(arena, &signature, allowed));
	free(allowed);
	arena_free(arena);
	return 0;
}
