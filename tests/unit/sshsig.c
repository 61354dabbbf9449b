/* Plain ssh signatures checked without ssh-keygen: the same answer as ssh-keygen's where there is one, none where it takes ssh-keygen. */
#include "git/sshsig.h"

#include "base/file.h"
#include "tests/tap.h"
#include "tests/tmp.h"

#define SPACE "byoci-record@v1"
static const char message[] = "{\"byoci\":1}\n";
static struct arena *arena;

static void sh(const char *command)
{
	if (chdir(tmp_folder) < 0 || system(command) != 0)
		printf("# failed: %s\n", command);
}

static char *text(const char *name)
{
	struct err err = {0};
	char *found = file_read(arena, arena_printf(arena, "%s/%s", tmp_folder, name), 100000, NULL, &err);

	if (found && strstr(name, ".pub"))
		found[strcspn(found, "\n")] = '\0';
	return found ? found : arena_strdup(arena, "");
}

static char *sign(const char *key, const char *namespace)
{
	sh(arena_printf(arena, "rm -f m.sig && ssh-keygen -q -Y sign -n %s -f %s m 2>/dev/null", namespace, key));
	return text("m.sig");
}

static const char *signer(const char *armored, const char *allowed)
{
	const struct sshsig signature = {.armored = armored, .namespace = SPACE, .message = message, .length = sizeof message - 1};

	return sshsig_signer(arena, &signature, allowed);
}

/* Every byte of the armor's inside changed: none of it is good any more. */
static bool holds(const char *armored, const char *allowed)
{
	char *copy = arena_strdup(arena, armored);
	size_t from = strcspn(copy, "\n") + 1, to = (size_t)(strstr(copy, "-----END") - copy);

	for (size_t i = from; i < to; i++) {
		char was = copy[i];

		copy[i] = was == 'A' ? 'B' : 'A';
		if (was != '\n' && signer(copy, allowed))
			return false;
		copy[i] = was;
	}
	return signer(copy, allowed) != NULL;
}

int main(void)
{
	arena = arena_new();
	tmp_make();
	sh("printf '{\"byoci\":1}\\n' >m && for k in ann bob; do ssh-keygen -q -t ed25519 -N '' -C c -f $k; done");
	sh("ssh-keygen -q -t rsa -N '' -C c -f rsa");
	const char *ann = text("ann.pub"), *bob = text("bob.pub");
	const char *good = sign("ann", SPACE), *other = sign("ann", "other"), *rsa = sign("rsa", SPACE);
	const char *plain = arena_printf(arena, "# names\n\nbob %s\nann %s\n", bob, ann);

	is(signer(good, plain), "ann", "a good signature by a key on a plain line is that line's");
	ok(holds(good, plain), "and no other one is, with any of its characters changed");
	is(signer(good, arena_printf(arena, "ann namespaces=\"x," SPACE "\" %s\n", ann)), "ann", "a line may be for this namespace");
	is(signer(good, arena_printf(arena, "ann namespaces=\"x\" %s\n", ann)), NULL, "one for another is not understood");
	is(signer(good, arena_printf(arena, "ann namespaces=\"byoci*\" %s\n", ann)), NULL, "nor one with a pattern");
	is(signer(good, arena_printf(arena, "ann namespaces=\"" SPACE "\",valid-before=\"20200101\" %s\n", ann)), NULL, "nor one with a time");
	is(signer(good, arena_printf(arena, "ann valid-before=\"20200101\" %s\n", ann)), NULL, "nor that alone");
	is(signer(good, arena_printf(arena, "ann cert-authority %s\n", ann)), NULL, "nor an authority");
	is(signer(good, arena_printf(arena, "ann,bob %s\n", ann)), NULL, "nor two names");
	is(signer(good, arena_printf(arena, "a* %s\n", ann)), NULL, "nor a pattern for a name");
	is(signer(good, arena_printf(arena, "ann %s\nann valid-before=\"20200101\" %s\n", ann, ann)), NULL, "nor one beside such a line");
	is(signer(good, arena_printf(arena, "ann %s\nzoe %s\n", ann, ann)), "ann", "of two names the first counts, as for ssh-keygen");
	is(signer(good, arena_printf(arena, "bob %s\n", bob)), NULL, "a key that is not there is ssh-keygen's to refuse");
	is(signer(good, ""), NULL, "as with an empty file");
	is(signer(good, arena_printf(arena, "# ann %s\n", ann)), NULL, "or a line that is a comment");
	is(signer(other, plain), NULL, "a signature of another namespace is none");
	is(signer(rsa, arena_printf(arena, "ann %s\n", text("rsa.pub"))), NULL, "another kind of key is left to ssh-keygen");
	is(signer("", plain), NULL, "nothing is no signature");
	is(signer("-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n", plain), NULL, "nor is an empty one");
	is(signer(arena_printf(arena, "%s\n", good), plain), NULL, "nor one with something behind it");
	for (size_t cut = 1; cut + 3 < (size_t)(strstr(good, "-----END") - good); cut++)
		if (signer(arena_printf(arena, "%.*s-----END SSH SIGNATURE-----\n", (int)cut, good), plain))
			ok(false, "a cut one is good");
	const struct sshsig changed = {.armored = good, .namespace = SPACE, .message = "{\"byoci\":2}\n", .length = sizeof message - 1};
	is(sshsig_signer(arena, &changed, plain), NULL, "another message has no good signature");
	arena_free(arena);
	return tap_done();
}
