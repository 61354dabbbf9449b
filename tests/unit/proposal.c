#include "forge/proposal.h"

#include "tests/tap.h"

static void test_identity(struct arena *arena)
{
	static const struct {
		const char *address, *identity;
	} cases[] = {
		{"ssh://user@host:22/path/sample.git/", "host:22/path/sample"},
		{"ssh://byoci-x-git@127.0.0.1:8812/sample.git", "127.0.0.1:8812/sample"},
		{"user@host:path/sample", "host/path/sample"},
		{"host:sample.git", "host/sample"},
		{"https://Example.ORG/Team/Repo.git", "example.org/Team/Repo"},
		{"git+ssh://u@git.launchpad.net/~u/p/+git/r", "git.launchpad.net/~u/p/+git/r"},
		{"ssh://[::1]:22/a.git", "[::1]:22/a"},
		{"ssh://host//a.git", "host/a"},
		{"", NULL},
		{"/var/lib/sample.git", NULL},
		{"file:///var/lib/sample.git", NULL},
		{"ext::sh -c id", NULL},
		{"ssh://host", NULL},
		{"ssh://host/", NULL},
		{"ssh://host/.git", "host/.git"},
		{"ssh:///path", NULL},
		{"ssh://a@b@c/d", NULL},
		{"ssh://host/../etc", NULL},
		{"ssh://host/a/./b", NULL},
		{"ssh://host/a//b", NULL},
		{"ssh://host/a b", NULL},
		{"ssh://host/a?x=y", NULL},
		{"ssh://host/a\nb", NULL},
		{"ssh://host/a%2e%2e/b", NULL},
		{"host:", NULL},
		{":path", NULL},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		is(forge_identity(arena, cases[i].address), cases[i].identity, cases[i].address[0] ? "an address" : "no address");
}

static void test_names(void)
{
	static const char *const good[] = {"a", "feature-1", "0", "a.b_c-d", "a.lockx", "lock",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	static const char *const bad[] = {"", "A", "-a", ".a", "_a", "a..b", "a.", "a.lock", "a/b", "a b", "a\n", "\xc3\xa4", "..",
		"a~1", "a^", "a:b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		ok(forge_name_valid(good[i]), "a name");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ok(!forge_name_valid(bad[i]), "not a name");
}

static void test_commits(void)
{
	ok(forge_commit_valid("0123456789abcdef0123456789abcdef01234567"), "40 digits");
	ok(forge_commit_valid("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"), "64 digits");
	ok(!forge_commit_valid("0123456789ABCDEF0123456789abcdef01234567"), "capitals");
	ok(!forge_commit_valid("0123456789abcdef0123456789abcdef0123456"), "39 digits");
	ok(!forge_commit_valid("0123456789abcdef0123456789abcdef012345678"), "41 digits");
	ok(!forge_commit_valid("0123456789abcdef0123456789abcdef01234567\n"), "a newline behind");
	ok(!forge_commit_valid("HEAD") && !forge_commit_valid(""), "a word");
}

static void test_beside(void)
{
	static const struct {
		const char *address, *path, *beside;
	} cases[] = {
		{"ssh://bot@forge.test:22/~team/p/+git/p.git/", "~ann/p/+git/fork", "ssh://bot@forge.test:22/~ann/p/+git/fork"},
		{"git+ssh://forge.test/p", "~ann/p/+git/fork", "git+ssh://forge.test/~ann/p/+git/fork"},
		{"https://forge.test/p", "~ann/p", "https://forge.test/~ann/p"},
		{"bot@forge.test:p/p.git", "ann/p", "bot@forge.test:ann/p"},
		{"ssh://forge.test/p", "../p", NULL},
		{"ssh://forge.test/p", "/p", NULL},
		{"ssh://forge.test/p", "", NULL},
		{"ssh://forge.test/p", "a b", NULL},
		{"ssh://forge.test/p", "a/", NULL},
		{"/srv/p.git", "ann/p", NULL},
	};
	struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		is(forge_beside(arena, cases[i].address, cases[i].path), cases[i].beside, cases[i].beside ? "a repository beside" : "none");
	is(forge_path("forge.test:22/~ann/p"), "~ann/p", "the path of an identity");
	ok(forge_same_host("forge.test/a", "forge.test/b/c"), "at the same host");
	ok(!forge_same_host("forge.test/a", "forge.tes/a") && !forge_same_host("forge.test/a", "forge.test:22/a"), "at others");
	arena_free(arena);
}

int main(void)
{
	struct arena *arena = arena_new();

	test_identity(arena);
	test_names();
	test_commits();
	arena_free(arena);
	test_beside();
	return tap_done();
}
