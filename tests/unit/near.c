#include "slaves/tree/near.h"

#include "tests/tap.h"
#include "tests/tmp.h"

#include "tests/gitrepo.h"

#define MAIN "refs/heads/main"
#define HEAD "refs/proposals/p/head"
#define KEPT_MAIN "refs/byoci/main"
#define KEPT_HEAD "refs/byoci/head"

static struct conf *conf;
static struct arena *arena;
static struct git *ours, *theirs;
static const char *here;

static struct near fresh(void)
{
	return (struct near){.ours = ours, .theirs = theirs, .repository = here, .wanted = {MAIN, HEAD}, .kept = {KEPT_MAIN, KEPT_HEAD}, .count = 2};
}

static bool comes(struct near *near)
{
	return near_look(near, arena) && near_fetch(near, arena);
}

static bool kept(struct near *near)
{
	return near_whole(near, arena) && near_keep(near, arena);
}

/* Whether it is fetched so to the end. */
static bool fetched(struct near *near)
{
	*near = fresh();
	return comes(near) && kept(near);
}

static bool is_here(const char *id)
{
	return strcmp(gitrepo_run(arena_printf(arena, "git -C here.git cat-file -e %s 2>/dev/null && echo yes || echo no", id)), "yes") == 0;
}

/* A clone that has what main is now. */
static void make_here(void)
{
	gitrepo_run("rm -rf here.git; git init -q --bare here.git; git -C here.git fetch -q ../there.git main:" KEPT_MAIN);
}

/* Another commit on main as the proposal. */
static const char *push(const char *text)
{
	return arena_strdup(arena, gitrepo_run(arena_printf(arena, "cd w; git checkout -q --detach main; echo %s >%s; git add -A; git commit -qm %s; "
		"git push -qf there HEAD:" HEAD "; git rev-parse HEAD", text, text, text)));
}

static void test_usual(void)
{
	struct near near;
	const char *commit = push("one");

	ok(!fetched(&near), "a clone that has nothing of it is left to git fetch");
	make_here();
	near = fresh();
	ok(comes(&near), "what is missing is fetched");
	is(near.ids[0], gitrepo_run("git -C there.git rev-parse main"), "the target is what it is there");
	is(near.ids[1], commit, "and so is the proposal");
	ok(is_here(commit), "which is here");
	is(gitrepo_run("git -C here.git for-each-ref " KEPT_HEAD), "", "and is kept by nothing yet");
	ok(kept(&near), "all that it leads to is here");
	is(gitrepo_run("git -C here.git rev-parse " KEPT_HEAD), commit, "then it is kept");
	gitrepo_run("git -C here.git fsck --strict --connectivity-only");
	const char *packs = arena_strdup(arena, gitrepo_run("ls here.git/objects/pack"));
	ok(fetched(&near), "the same again");
	is(gitrepo_run("ls here.git/objects/pack"), packs, "brings no pack");

	gitrepo_run("cd w; git checkout -q main; echo more >more; git add -A; git commit -qm more; git push -q there main");
	commit = push("two");
	ok(fetched(&near) && is_here(commit), "target and proposal at once");
	is(gitrepo_run("git -C here.git rev-parse " KEPT_MAIN), gitrepo_run("git -C there.git rev-parse main"), "both are kept");
	gitrepo_run("cd w; git checkout -q main; git reset -q --hard HEAD^; git push -qf there main");
	commit = push("three");
	ok(fetched(&near) && is_here(commit), "a target that was moved back");
	is(gitrepo_run("git -C here.git rev-parse " KEPT_MAIN), gitrepo_run("git -C there.git rev-parse main"), "is where it is there");
}

static void test_left_to_git(void)
{
	struct near near;

	gitrepo_run("git -C there.git update-ref -d " HEAD);
	ok(!fetched(&near), "a ref that is gone is left to git fetch");
	push("four");
	gitrepo_run("git -C here.git update-ref " KEPT_MAIN " $(git -C here.git commit-tree -m x $(git -C here.git rev-parse " KEPT_MAIN "^{tree}))");
	ok(!fetched(&near), "and a clone that has something that is not there");
	make_here();
	gitrepo_run("head -c 20000000 /dev/urandom >w/big");
	push("five");
	ok(fetched(&near), "twenty megabytes go from one to the other");
	gitrepo_run("rm w/big; git -C w checkout -qf main; git -C w clean -fdq");
}

/* As git fetch would. */
static void test_bad_objects(void)
{
	struct near near;
	const char *commit;

	make_here();
	commit = gitrepo_run("cd there.git; b=$(echo evil | git hash-object -w --stdin); d=$(printf '100644 blob %s\\thook\\n' $b | git mktree); "
		"t=$(printf '040000 tree %s\\t.GIT\\n' $d | git mktree); c=$(git commit-tree -p main -m evil $t); git update-ref " HEAD " $c; echo $c");
	ok(!fetched(&near), "a tree with .GIT in it is not let in");
	ok(!is_here(commit), "  and not here");
	commit = gitrepo_run("cd there.git; c=$(printf 'tree %s\\nparent %s\\nauthor A <a@b> 1 +0000\\ncommitter C 1 +0000\\n\\nx\\n' $(git rev-parse main^{tree}) "
		"$(git rev-parse main) | git hash-object -t commit -w --stdin --literally); git update-ref " HEAD " $c; echo $c");
	ok(fetched(&near) && is_here(commit), "a commit without a mail address is, as in any old repository");
	commit = push("seven");
	gitrepo_run("cd there.git; o=$(git rev-parse " HEAD ":seven); rm -f objects/$(echo $o | cut -c1-2)/$(echo $o | cut -c3-)");
	ok(!fetched(&near), "and one that lacks a file");
}

/* There the new commit's parent is cut off; here there is nothing of the parent, and then the parent without its files. */
static void test_cut_off(void)
{
	struct near near;
	const char *parent = push("eight");

	make_here();
	gitrepo_run("cd w; echo nine >nine; git add -A; git commit -qm nine; git push -qf there HEAD:" HEAD "; git -C ../there.git rev-parse " HEAD
		" >../there.git/shallow");
	ok(!fetched(&near), "a repository that is cut off is left to git fetch");
	gitrepo_run(arena_printf(arena, "git -C w cat-file commit %s | git -C here.git hash-object -t commit -w --stdin --literally", parent));
	near = fresh();
	ok(comes(&near), "what a new commit's parent leads to is not in the pack");
	ok(!kept(&near), "and that it is not here is found");
	is(gitrepo_run("git -C here.git for-each-ref " KEPT_HEAD), "", "nothing of it is kept");
	gitrepo_run("rm there.git/shallow");
	ok(fetched(&near) && is_here(arena_printf(arena, "%s^{tree}", parent)), "uncut it is fetched whole");
}

int main(void)
{
	struct err err = {0};

	gitrepo_make(&conf);
	arena = arena_new();
	gitrepo_run("cd w; echo a >a; git add -A; git commit -qm main; git push -q there main; git init -q --bare ../here.git");
	here = arena_strdup(arena, tmp_path("here.git"));
	ours = git_new(conf, here, NULL, &err);
	theirs = git_elsewhere(conf, tmp_path("there.git"), &err);
	if (!ours || !theirs)
		printf("Bail out! %s\n", err.text), exit(1);
	test_usual();
	test_left_to_git();
	test_bad_objects();
	test_cut_off();
	git_free(ours);
	git_free(theirs);
	arena_free(arena);
	conf_free(conf);
	return tap_done();
}
