#include "forge/sshkey.h"

#include <stdio.h>
#include <string.h>

#include "base/crypto.h"

#include "tests/tap.h"

static const char *encoded(struct arena *arena, const char *type, const char *rest)
{
	char bytes[512] = {0};
	size_t named = strlen(type);

	bytes[3] = (char)named;
	memcpy(bytes + 4, type, named);
	memcpy(bytes + 4 + named, rest, strlen(rest));
	return crypto_base64(arena, bytes, 4 + named + strlen(rest));
}

static bool taken(struct arena *arena, const char *line, const char *wanted)
{
	const char *key = sshkey_of_line(arena, line, strlen(line));

	return wanted ? key && strcmp(key, wanted) == 0 : !key;
}

static void test_lines(struct arena *arena, const char *good)
{
	ok(taken(arena, good, good), "a key is taken");
	ok(taken(arena, arena_printf(arena, "%s ann@example.org two words\r", good), good), "without its comment");
	ok(taken(arena, arena_printf(arena, "  %s", good), good), "and the blanks before it");
	ok(taken(arena, arena_printf(arena, "command=\"id\" %s", good), NULL), "one with an option is not");
	ok(taken(arena, arena_printf(arena, "cert-authority %s", good), NULL), "nor an authority");
	ok(taken(arena, arena_printf(arena, "restrict,pty %s", good), NULL), "nor one with harmless options");
	ok(taken(arena, arena_printf(arena, "# %s", good), NULL), "nor a remark");
	ok(taken(arena, "ssh-ed25519", NULL) && taken(arena, "ssh-ed25519 ", NULL) && taken(arena, "", NULL), "nor half of one");
	ok(taken(arena, "ssh-ed25519 AAAA\"BBB", NULL) && taken(arena, "ssh-ed25519 ../../x", NULL), "nor what is no base64");
	ok(taken(arena, arena_printf(arena, "ssh-rsa %s", strchr(good, ' ') + 1), NULL), "nor one of another type than it says");
	ok(taken(arena, arena_printf(arena, "ssh-dss %s", encoded(arena, "ssh-dss", "xxxxxxxx")), NULL), "nor one of an old type");
	ok(taken(arena, arena_printf(arena, "ssh-ed25519-cert-v01@openssh.com %s", encoded(arena, "ssh-ed25519-cert-v01@openssh.com", "x")),
		   NULL), "nor a certificate");
	ok(!sshkey_of_line(arena, "ssh-ed25519 AA\0AA", 17), "nor one with a NUL in it");
	char *line = arena_alloc(arena, SSHKEY_LENGTH + 100);
	memset(line, 'A', SSHKEY_LENGTH + 99);
	memcpy(line, "ssh-rsa ", 8);
	ok(!sshkey_of_line(arena, line, SSHKEY_LENGTH + 1), "nor a line without end");
}

static const char *signer(struct arena *arena, const char *format, const char *key, const char *who)
{
	const char *line = arena_printf(arena, "%s %s", format, key);

	return sshkey_of_signer(arena, line, strlen(line), who);
}

static void test_signers(struct arena *arena, const char *good)
{
	ok(signer(arena, "ann", good, "ann") != NULL, "somebody's key is found");
	ok(signer(arena, "bob,ann", good, "ann") != NULL, "among others'");
	ok(signer(arena, "ann namespaces=\"byoci-record@v1,git\"", good, "ann") != NULL, "also when it is for records");
	ok(!signer(arena, "ann", good, "an") && !signer(arena, "ann", good, "anna"), "by the whole name");
	ok(!signer(arena, "*", good, "ann") && !signer(arena, "!ann", good, "ann") && !signer(arena, "a?n", good, "ann"), "a pattern is no name");
	ok(!signer(arena, "ann cert-authority", good, "ann"), "an authority is no key");
	ok(!signer(arena, "ann valid-before=\"20200101\"", good, "ann"), "what holds for a time is not taken");
	ok(!signer(arena, "ann namespaces=\"x\",cert-authority", good, "ann"), "nor what has more options");
	ok(!signer(arena, "ann namespaces=\"x", good, "ann"), "nor a quote without end");
}

static void test_list(struct arena *arena, const char *good)
{
	char *many = arena_alloc(arena, 300 * 200);
	const char *const *keys;
	size_t length = 0, count = 0;

	for (int i = 0; i < 300; i++)
		length += (size_t)snprintf(many + length, 200, "%s\n", good);
	for (keys = sshkey_list(arena, many, length, NULL); *keys; keys++)
		count++;
	ok(count == SSHKEY_MAXIMUM, "of very many keys the first are taken");
	many = arena_printf(arena, "<html>\n%s\n\n\ncommand=\"x\" %s\n%s", good, good, good);
	keys = sshkey_list(arena, many, strlen(many), NULL);
	ok(keys[0] && keys[1] && !keys[2], "lines that are no keys are passed over");
	ok(!sshkey_list(arena, "", 0, NULL)[0], "none is none");
}

int main(void)
{
	static const char *const names[] = {"", ".ann", "-ann", "a/b", "a..b", "ann?x=1", "ann keys", "ann\n", "%2e", "~ann", "ann#"};
	struct arena *arena = arena_new();
	const char *good = arena_printf(arena, "ssh-ed25519 %s", encoded(arena, "ssh-ed25519", "0123456789"));
	char print[SSHKEY_FINGERPRINT], longest[70];
	size_t bad = 0;

	test_lines(arena, good);
	test_signers(arena, good);
	test_list(arena, good);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		bad += !sshkey_owner_valid(names[i]);
	ok(bad == sizeof names / sizeof names[0], "what could lead elsewhere is nobody's name");
	ok(sshkey_owner_valid("ann") && sshkey_owner_valid("Ann.B-c_d+e@example.org"), "names are");
	memset(longest, 'a', 65);
	longest[65] = '\0';
	ok(!sshkey_owner_valid(longest) && sshkey_owner_valid(longest + 1), "up to a length");
	sshkey_fingerprint(arena, good, print);
	ok(strncmp(print, "SHA256:", 7) == 0 && strlen(print) == 50, "a key has a fingerprint");
	arena_free(arena);
	return tap_done();
}
