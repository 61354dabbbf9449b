#include "slaves/tree/export.h"

#include <sys/stat.h>

#include "base/file.h"

#include "tests/tap.h"
#include "tests/tmp.h"

#include "tests/gitrepo.h"

#define POINTER \
	"version https://git-lfs.github.com/spec/v1\\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\\nsize 12345\\n"

static struct conf *conf;
static struct arena *arena;
static struct tree *tree;

/* The id of a tree in our clone; `script` makes its files in a new work tree. */
static const char *made(const char *script)
{
	return gitrepo_run(arena_printf(arena,
		"rm -rf w; git init -q w; cd w; %s\ngit -c core.autocrlf=false add -Af; git commit -qm x; git rev-parse HEAD^{tree}; "
		"git push -qf ../trees/p.git HEAD:refs/heads/x", script));
}

static int check(const char *id, struct err *err)
{
	err_clear(err);
	return export_check(tree, id, 1 << 30, err);
}

static int export_to(const char *name, const char *id, struct err *err)
{
	const char *folder = arena_strdup(arena, tmp_path(name));

	return file_make_folder(folder, 0755, err) < 0 ? -1 : export_files(tree, id, folder, arena_printf(arena, "%s.index", folder), err);
}

static void test_check(void)
{
	struct err err;

	ok(check(made("echo a >a; mkdir b; seq 50 >b/c; ln -s a l"), &err) == 0, "ordinary files are fine");
	ok(check(made("git init -q sub; cd sub; git commit -q --allow-empty -m s; cd ..; echo a >a"), &err) < 0 && err.kind == ERR_REFUSED &&
			strncmp(err.text, "sub is a submodule", 18) == 0,
		"a submodule is refused and named");
	ok(check(made("mkdir d; printf '" POINTER "' >d/big.bin; echo a >a"), &err) < 0 && err.kind == ERR_REFUSED &&
			strncmp(err.text, "d/big.bin is a pointer of git-lfs", 33) == 0,
		"a pointer of git-lfs is refused and named");
	ok(check(made("printf 'x" POINTER "' >doc; seq 400 >>doc"), &err) == 0, "what only has such a line in it is fine");
	ok(check(made("printf '" POINTER "' >target; mv target 'e\033[2J'"), &err) < 0 && !strchr(err.text, '\033') && strstr(err.text,
		"\\x1b[2J"),
		"names of files are escaped in the message");
	ok(check("0123456789012345678901234567890123456789", &err) < 0 && err.kind == ERR_SYSTEM, "a tree that is not there is trouble");
}

static void test_exact(void)
{
	struct err err = {0};
	const char *id = arena_strdup(arena, made(
		"printf 'a\\r\\nb\\n' >crlf; printf 'a\\nb\\n' >lf; printf '$Id$\\n$Id: x $\\n' >x.id; printf '$Format:%%H$\\n' >x.ex; echo no >x.no; "
		"echo f >x.fi; echo u >x.u; printf 'a\\nb\\n' >x.old; head -c 3000 /dev/urandom >x.bin; printf 'no newline' >end; : >empty; "
		"mkdir -p deep/er; echo d >deep/er/file; printf x >'a b'; printf x >'n\nl'; printf x >\"$(printf 'z\\303\\274')\"; "
		"ln -s /etc/passwd absolute; ln -s ../../.. up; ln -s nowhere dangling; ln -s deep folder; printf '#!/bin/sh\\n' >run; chmod 755 run"));

	/* The same files once more, with a .gitattributes that would change them all. */
	const char *hostile = arena_strdup(arena, gitrepo_run(arena_printf(arena,
		"cd w; printf '* text=auto eol=crlf\\n*.id ident\\n*.ex export-subst\\n*.no export-ignore\\n*.fi filter=evil\\n"
		"*.u working-tree-encoding=UTF-16LE\\n*.old crlf\\n*.bin binary\\n' >../attributes; "
		"export GIT_INDEX_FILE=../index3; git --git-dir ../trees/p.git read-tree %s; "
		"b=$(git --git-dir ../trees/p.git hash-object -w ../attributes); "
		"git --git-dir ../trees/p.git update-index --add --cacheinfo 100644,$b,.gitattributes; git --git-dir ../trees/p.git write-tree", id)));
	ok(check(id, &err) == 0, "the files are fine");
	ok(export_check(tree, id, 8192, &err) < 0 && err.kind == ERR_REFUSED && strstr(err.text, "tree.limit"), "but not when they may take less disk");
	ok(export_to("plain", id, &err) == 0, "they are exported");
	ok(export_to("hostile", hostile, &err) == 0, "and once more with attributes in the tree");
	is(gitrepo_run("diff -r --no-dereference plain hostile | grep -v 'Only in hostile: .gitattributes' || :"), "",
		"which change not a byte");
	is(gitrepo_run(arena_printf(arena, "cd plain; git --git-dir ../trees/p.git ls-tree -r -z %s | tr '\\0\\n' '\\n?' | "
		"while IFS='\t' read -r what path; do set -- $what; "
		"[ $1 = 120000 ] && continue; f=$(printf %%s \"$path\" | tr '?' '\\n'); [ $(git hash-object --no-filters \"./$f\") = $3 ] || echo \"$path\"; done", id)),
		"", "every file has the bytes of its blob");
	is(gitrepo_run("readlink plain/absolute plain/up plain/dangling plain/folder"), "/etc/passwd\n../../..\nnowhere\ndeep",
		"links are links, as they are");
	is(gitrepo_run("stat -c %a plain/run plain/lf plain/deep"), "755\n644\n755", "modes are those of the tree");
	is(gitrepo_run("cat hostile/x.ex hostile/x.no; ls *.index 2>/dev/null || :"), "$Format:%H$\nno",
		"nothing is substituted or left out; no index is left");
}

/* A filter that would run code: its definition can't come from the tree, but try as a repository's own configuration. */
static void test_filter(void)
{
	struct err err = {0};
	const char *id = arena_strdup(arena, made("printf '* filter=evil diff=evil merge=evil\\n' >.gitattributes; echo a >a"));

	gitrepo_run("git -C trees/p.git config filter.evil.smudge \"touch $T/ran; cat\"; git -C trees/p.git config filter.evil.required true");
	ok(export_to("filtered", id, &err) == 0, "a tree that asks for a filter is exported");
	ok(access(tmp_path("ran"), F_OK) < 0, "and no filter runs");
}

/* Trees that git itself would not make: a link and a folder of one name, paths that leave. */
static void test_hostile_trees(void)
{
	static const struct {
		const char *what, *script;
	} rows[] = {
		{"a file in .git", "d=$(printf '100644 blob %s\\thook\\n' $b | git mktree); printf '040000 tree %s\\t.git\\n' $d | git mktree"},
		{"..", "d=$(printf '100644 blob %s\\tx\\n' $b | git mktree); printf '040000 tree %s\\t..\\n' $d | git mktree"},
		{"a link and a folder of one name", "l=$(printf %s ../out | git hash-object -w --stdin); "
			"d=$(printf '100644 blob %s\\tx\\n' $b | git mktree); "
			"printf '120000 blob %s\\ta\\n040000 tree %s\\ta\\n' $l $d | git mktree"},
	};

	gitrepo_run("mkdir -p out");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err err = {0};
		const char *id = arena_strdup(arena, gitrepo_run(arena_printf(arena,
			"cd trees/p.git; b=$(echo evil | git hash-object -w --stdin); %s", rows[i].script)));
		int done = export_to(arena_printf(arena, "hostile%zu", i), id, &err);
		printf("# %d %s\n", done, err.text);
		ok(access(tmp_path("out/x"), F_OK) < 0 && access(tmp_path("x"), F_OK) < 0 &&
				access(arena_printf(arena, "%s/hostile%zu/.git", tmp_folder, i), F_OK) < 0,
			arena_printf(arena, "%s: nothing is written where it must not be", rows[i].what));
	}
}

int main(void)
{
	struct err err = {0};

	gitrepo_make(&conf);
	arena = arena_new();
	tree = tree_open(conf, &(struct tree_from){.folder = tmp_path("trees"), .project = "p", .url = "/nonexistent"}, &err);
	if (!tree)
		printf("Bail out! %s\n", err.text), exit(1);
	test_check();
	test_exact();
	test_filter();
	test_hostile_trees();
	tree_free(tree);
	arena_free(arena);
	conf_free(conf);
	return tap_done();
}
