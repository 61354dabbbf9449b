#include "slaves/land/landing_tree.h"

#include <string.h>
#include <sys/stat.h>

#include "base/crypto.h"

static const char *landing_key(const struct program *program, const char *project, struct err *err)
{
	return program_section_option(program, "project", project, "landing.key", err);
}

struct tree *landing_tree_open(const struct program *program, const char *project, struct err *err)
{
	struct stat st;
	const char *folder = program_state(program, "land/trees", err);
	const char *url = folder ? program_section_option(program, "project", project, "repository.read", err) : NULL;
	const char *key = url ? landing_key(program, project, err) : NULL;

	if (!key)
		return NULL;
	const struct tree_from from = {
		.folder = folder, .project = project, .url = url, .ssh_key = stat(key, &st) == 0 ? key : NULL};
	return tree_open(program->conf, &from, err);
}

/* What git says of a ref that it did not update (git-push(1), OUTPUT). */
static void judge(const struct child_result *result, struct err *err)
{
	const char *words = result->out.data ? result->out.data : "";

	if (strstr(words, "(stale info)") || strstr(words, "(fetch first)") || strstr(words, "(non-fast-forward)"))
		err->kind = ERR_MOVED;
	else if (err->kind != ERR_NETWORK && strstr(words, "[remote rejected]"))
		err->kind = ERR_REFUSED;
}

/*
 * The ref here whose namesake is pushed, in a folder of its own. A ref of the other side that is named by itself may be taken for another
 * one there whose name ends like it (a branch called "refs/heads/main"): git push then refuses, or moves that one. A pattern has one
 * meaning.
 */
static const char *pushed_folder(struct arena *arena, const char *ref)
{
	char digest[CRYPTO_SHA256_HEX];

	crypto_sha256(ref, strlen(ref), digest);
	return arena_printf(arena, "refs/byoci/push-%.16s", digest);
}

static int set_pushed(struct tree *tree, struct arena *arena, const char *const *arguments, struct err *err)
{
	return git_text(tree_git(tree), arena, &(struct git_call){.arguments = arguments}, NULL, err) ? 0 : -1;
}

int landing_tree_push(const struct program *program, struct tree *tree, const struct landing_tree_push *push, struct err *err)
{
	struct arena *arena = program->arena;
	const char *url = program_section_option(program, "project", push->project, "repository", err);
	static const char refs[] = "refs/";
	struct child_result result;
	struct err ignored = {0};

	if (!url)
		return -1;
	if (strncmp(push->ref, refs, sizeof refs - 1) != 0)
		return err_set(err, ERR_REFUSED, "%s is not the full name of a ref", push->ref);
	const char *folder = pushed_folder(arena, push->ref), *ours = arena_printf(arena, "%s/%s", folder, push->ref + sizeof refs - 1);
	if (set_pushed(tree, arena, GIT_ARGUMENTS("update-ref", ours, push->value), err) < 0)
		return -1;
	const char *lease = arena_printf(arena, "--force-with-lease=%s:%s", push->ref, push->old);
	const char *refspec = arena_printf(arena, "%s/*:%s*", folder, refs);
	const struct git_call call = {
		.arguments = GIT_ARGUMENTS("push", "--porcelain", "--no-follow-tags", "--no-recurse-submodules", "--no-verify", lease, "--",
			url, refspec)};
	int done = git_run(tree_git(tree), &call, &result, err);
	if (done == 0 && result.status != 0) {
		done = git_failed(&result, "push", err);
		judge(&result, err);
	}
	child_result_release(&result);
	set_pushed(tree, arena, GIT_ARGUMENTS("update-ref", "-d", ours), &ignored); /* else the next push of that ref sets it */
	return done;
}
