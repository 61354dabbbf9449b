#include "slaves/tree/tree.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "tests/tap.h"
#include "tests/tmp.h"

#include "tests/gitrepo.h"

#define MAIN "refs/heads/main"
#define HEAD "refs/proposals/p/head"

static struct conf *conf;
static struct arena *arena;

static struct tree *open_as(const char *name)
{
	struct err err = {0};
	const char *url = arena_printf(arena, "%s/there.git", tmp_folder);
	const struct tree_from from = {.folder = tmp_path("trees"), .project = name, .url = url};
	struct tree *tree = tree_open(conf, &from, &err);

	if (!tree)
		printf("Bail out! %s\n", err.text), exit(1);
	return tree;
}

/* Fetches both; the proposal's commit in wants[1]. */
static int fetch(struct tree *tree, struct tree_want wants[2], struct err *err)
{
	wants[0] = (struct tree_want){.remote = MAIN};
	wants[1] = (struct tree_want){.remote = HEAD};
	return tree_fetch(tree, wants, 2, err);
}

/* Merges what is there now in a clone of this name. */
static int merge_in(const char *name, struct tree_merged *merged, struct err *err)
{
	struct tree *tree = open_as(name);
	struct tree_want wants[2];
	int done = fetch(tree, wants, err);
	const struct tree_merge merge = {.base = wants[0].commit, .source = wants[1].commit, .message = "Add it\n\nMerged from here",
		.author = "Zoë Q", .mail = "zoe@example.org", .date = 1750000000};

	if (done == 0)
		done = tree_merge(tree, arena, &merge, merged, err);
	tree_free(tree);
	return done;
}

/* A main with `files` (a shell script in w), and a proposal on it. */
static void make(const char *main_script, const char *proposal_script)
{
	gitrepo_run(arena_printf(arena,
		"cd w; git checkout -q --orphan new; git rm -rfq . 2>/dev/null || :; git clean -fdxq; %s\ngit add -Af; git commit -qm main --allow-empty; "
		"git branch -M main; git push -qf there main:main; git checkout -q --detach; %s\ngit add -Af; git commit -qm proposal --allow-empty; "
		"git push -qf there HEAD:" HEAD "; git checkout -q main", main_script, proposal_script));
}

static void test_fetch(void)
{
	struct tree_want wants[2];
	struct err err = {0};
	struct tree *tree = open_as("fetch");

	make("echo a >a", "echo b >b; git tag -f v1; git push -qf there v1");
	ok(fetch(tree, wants, &err) == 0, "two refs are fetched");
	is(wants[0].commit, gitrepo_run("git -C there.git rev-parse main"), "the target is what it is there");
	is(wants[1].commit, gitrepo_run("git -C there.git rev-parse " HEAD), "and so is the proposal");
	is(gitrepo_run("git -C trees/fetch.git for-each-ref --format='%(refname)' refs/tags refs/heads"), "", "no tag or branch is made");
	gitrepo_run("git -C there.git update-ref -d " HEAD);
	ok(fetch(tree, wants, &err) == 0 && wants[0].commit[0] && !wants[1].commit[0], "a ref that is gone is told, the other one fetched");
	tree_free(tree);

	const struct tree_from nowhere = {.folder = tmp_path("trees"), .project = "nowhere", .url = tmp_path("nowhere.git")};
	tree = tree_open(conf, &nowhere, &err);
	ok(tree && fetch(tree, wants, &err) < 0 && err.kind == ERR_NETWORK, "a repository that is not there is out of reach");
	ok(strstr(err.text, "nowhere.git") != NULL, "and the message names it");
	tree_free(tree);
}

static void test_same_id(void)
{
	struct tree_merged one, other, again;
	struct err err = {0};

	make("seq 30 >a; echo x >x", "sed -i s/^3$/three/ a; git mv x y");
	gitrepo_run("cd w; sed -i s/^28$/b/ a; git commit -qam later; git push -q there main:main");
	ok(merge_in("one", &one, &err) == 0, "a merge is made");
	is(one.conflicts, NULL, "without a conflict");
	ok(merge_in("other", &other, &err) == 0 && strcmp(one.commit, other.commit) == 0, "the same parents give the same id in another clone");
	ok(merge_in("one", &again, &err) == 0 && strcmp(one.commit, again.commit) == 0, "and the same again");
	is(gitrepo_run(arena_printf(arena, "git -C trees/one.git log -1 --format='%%an|%%ae|%%at|%%cn|%%ce|%%ct|%%ai|%%B' %s", one.commit)),
		"Zoë Q|zoe@example.org|1750000000|Zoë Q|zoe@example.org|1750000000|2025-06-15 15:06:40 +0000|Add it\n\nMerged from here",
		"author, committer, date and message are what was given");
	is(gitrepo_run(arena_printf(arena, "git -C trees/one.git log -1 --format=%%P %s", one.commit)),
		gitrepo_run("echo $(git -C there.git rev-parse main " HEAD ")"), "target first, proposal second");
}

/* The same content with and without these attribute files in the tree. */
static void test_attributes(void)
{
	static const char *const files[] = {
		"printf '* merge=union\\n' >.gitattributes",
		"printf '* merge=ours\\n*.txt -merge\\n' >.gitattributes",
		"printf '* merge=evil\\n* filter=evil\\n' >.gitattributes",
		"printf '* text=auto eol=crlf\\n*.enc working-tree-encoding=UTF-16\\n* ident\\n' >.gitattributes",
		"printf '[attr]m merge=union\\n* m\\n* conflict-marker-size=3\\n' >.gitattributes",
	};

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		struct tree_merged merged;
		struct err err = {0};
		make(arena_printf(arena, "seq 9 >a.txt; %s", files[i]), "sed -i s/5/five/ a.txt");
		gitrepo_run("cd w; sed -i s/5/fuenf/ a.txt; git commit -qam later; git push -q there main:main");
		ok(merge_in("attributes", &merged, &err) < 0 && err.kind == ERR_CONFLICT, arena_printf(arena, "still a conflict with %s",
			files[i]));
	}
}

static void test_conflict(void)
{
	struct tree_merged merged;
	struct err err = {0};

	make("seq 9 >a; echo x >'b\033[31mc'; echo d >d", "sed -i s/5/five/ a; git rm -q d; echo y >'b\033[31mc'");
	gitrepo_run("cd w; sed -i s/5/fuenf/ a; echo D >d; echo z >'b\033[31mc'; git commit -qam later; git push -q there main:main");
	ok(merge_in("conflict", &merged, &err) < 0 && err.kind == ERR_CONFLICT, "a conflict is one");
	ok(merged.conflicts && strstr(merged.conflicts, "Merge conflict in a\n"), "it names the file");
	ok(merged.conflicts && strstr(merged.conflicts, "modify/delete"), "and what is the matter with another");
	ok(merged.conflicts && !strchr(merged.conflicts, '\033') && strstr(merged.conflicts, "b\\x1b[31mc"), "names of files are escaped");
	ok(strstr(err.text, "Merge conflict in a") != NULL, "the message for people names the first");

	gitrepo_run("cd w; git checkout -q --orphan alone; git commit -qm alone; git push -qf there alone:" HEAD "; git checkout -q main");
	ok(merge_in("conflict", &merged, &err) < 0 && err.kind == ERR_CONFLICT && strstr(err.text, "no common history"),
		"what has no common history does not merge");
}

static void test_descends(void)
{
	struct tree *tree = open_as("descends");
	struct tree_want wants[2];
	struct err err = {0};
	bool descends = false;

	make("echo a >a", "echo b >b");
	fetch(tree, wants, &err);
	ok(tree_descends(tree, wants[0].commit, wants[1].commit, &descends, &err) == 0 && descends, "a proposal descends from its base");
	ok(tree_descends(tree, wants[1].commit, wants[0].commit, &descends, &err) == 0 && !descends, "and not the other way round");
	ok(tree_descends(tree, "0123456789012345678901234567890123456789", wants[0].commit, &descends, &err) < 0 && err.kind == ERR_NOT_FOUND,
		"a commit that is not here is not found");
	tree_free(tree);
}

/* Another process has it until it dies. */
static void test_lock(void)
{
	struct stat st;
	int up[2], down[2];
	char byte = 0;

	if (pipe(up) < 0 || pipe(down) < 0)
		exit(1);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		struct tree *held = open_as("lock");
		_exit(held && write(up[1], "x", 1) == 1 && read(down[0], &byte, 1) == 1 ? 0 : 1);
	}
	ok(read(up[0], &byte, 1) == 1, "another process has the clone");
	int fd = open(tmp_path("trees/lock.git"), O_RDONLY | O_DIRECTORY);
	ok(flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK, "nobody else gets it meanwhile");
	close(fd);
	ok(write(down[1], "x", 1) == 1, "it ends without letting go");
	struct tree *tree = open_as("lock");
	ok(tree != NULL, "then who waits gets it");
	waitpid(pid, NULL, 0);
	tree_free(tree);
	ok(stat(tmp_path("trees/lock.git"), &st) == 0 && (st.st_mode & 07777) == 0700, "a clone is its user's alone");
}

static void test_broken(void)
{
	struct tree *tree = open_as("broken");
	struct tree_want wants[2];
	struct err err = {0};

	make("echo a >a", "echo b >b");
	ok(fetch(tree, wants, &err) == 0, "a clone");
	gitrepo_run("cd trees/broken.git; find objects -type f | while read -r f; do chmod 600 $f; echo rubbish >$f; done");
	make("echo c >c", "echo d >d");
	ok(fetch(tree, wants, &err) == 0 && wants[1].commit[0], "that is broken is made anew");
	gitrepo_run("git --git-dir trees/broken.git fsck --strict");
	tree_free(tree);
}

static void test_hostile_objects(void)
{
	struct tree *tree = open_as("hostile");
	struct tree_want wants[2];
	struct err err = {0};

	make("echo a >a", "echo b >b");
	gitrepo_run("cd there.git; b=$(echo evil | git hash-object -w --stdin); d=$(printf '100644 blob %s\\thook\\n' $b | git mktree); "
		"t=$(printf '040000 tree %s\\t.GIT\\n' $d | git mktree); c=$(git commit-tree -p main -m evil $t); git update-ref " HEAD " $c");
	ok(fetch(tree, wants, &err) < 0 && err.kind == ERR_REFUSED && strstr(err.text, "hasDotgit"),
		"a tree with .GIT in it is not even fetched");
	tree_free(tree);
}

/* A clone of this name of a repository that is elsewhere. */
static struct tree *open_elsewhere(const char *name)
{
	struct err err = {0};
	const char *url = arena_printf(arena, "file://%s/there.git", tmp_folder);
	const struct tree_from from = {.folder = tmp_path("trees"), .project = name, .url = url};
	struct tree *tree = tree_open(conf, &from, &err);

	if (!tree)
		printf("Bail out! %s\n", err.text), exit(1);
	return tree;
}

/* The other side, or the way there, breaks off in the middle of a pack: who sends it ends all at once. */
static void test_broken_off(void)
{
	struct tree_want wants[2];
	struct err err = {0};
	const char *config = arena_printf(arena, "[uploadpack]\n\tpackObjectsHook = %s/half\n", tmp_folder);

	make("seq 1 50 >a", "seq 1 100000 >b");
	tmp_text("half", "#!/bin/sh\n\"$@\" | head -c 2000\nkill -KILL $PPID\nsleep 1\n", 0700);
	struct tree *tree = open_elsewhere("off");
	ok(fetch(tree, wants, &err) == 0, "a repository elsewhere is fetched");
	tree_free(tree);
	gitrepo_run("touch trees/off.git/ours; cd w; git checkout -q --detach; seq 1 99999 | sha256sum >c; head -c 100000 /dev/urandom >d; "
		"git add -A; git commit -qm more; git push -qf there HEAD:" HEAD "; git checkout -q main");
	tmp_text("gitconfig", config, 0600);
	tree = open_elsewhere("off");
	ok(fetch(tree, wants, &err) < 0 && err.kind == ERR_NETWORK, "a fetch that is broken off is the way's trouble");
	ok(access(tmp_path("trees/off.git/ours"), F_OK) == 0, "and the clone is kept");
	tree_free(tree);
	tmp_text("gitconfig", "", 0600);
	err_clear(&err);
	tree = open_elsewhere("off");
	ok(fetch(tree, wants, &err) == 0, "the next one gets it");
	tree_free(tree);
}

int main(void)
{
	gitrepo_make(&conf);
	arena = arena_new();
	test_fetch();
	test_same_id();
	test_attributes();
	test_conflict();
	test_descends();
	test_lock();
	test_broken();
	test_hostile_objects();
	test_broken_off();
	arena_free(arena);
	conf_free(conf);
	return tap_done();
}
