/* What a forge publishes as somebody's keys, and as an allowed_signers file: nothing but plain keys comes of it. */
#include "forge/sshkey.h"
#include "fuzz.h"

#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

/* "TYPE BASE64", which can stand in a line of an authorized_keys file and says the same there. */
static void check(struct arena *arena, const char *key)
{
	const char *space = strchr(key, ' '), *again = sshkey_of_line(arena, key, strlen(key));
	char print[SSHKEY_FINGERPRINT];

	MUST(space && space > key && !strpbrk(key, "\"'\\\t\r\n,*!?"));
	MUST(space[1] && strspn(space + 1, PLAIN) == strlen(space + 1));
	MUST(again && strcmp(again, key) == 0);
	sshkey_fingerprint(arena, key, print);
	MUST(strncmp(print, "SHA256:", 7) == 0 && strlen(print) == 7 + 43);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static const char *const owners[] = {NULL, "ann"};
	const char *text = (const char *)bytes;
	struct arena *arena = arena_new();

	for (size_t i = 0; i < 2; i++) {
		const char *const *keys = sshkey_list(arena, text, length, owners[i]);
		size_t count = 0;

		MUST(keys);
		for (; keys[count]; count++)
			check(arena, keys[count]);
		MUST(count <= SSHKEY_MAXIMUM);
	}
	arena_free(arena);
	return 0;
}
