#include "slaves/tree/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/log.h"
#include "slaves/tree/conflicts.h"
#include "slaves/tree/near.h"

#define TREE_LOCK_PAUSE_MS 20
#define TREE_REFS_MAXIMUM 8
#define TREE_FETCH_MS (60 * 60 * 1000) /* the first one fetches all there is */
#define TREE_FETCH_WORDS 10            /* of the command, before the refs */

struct tree {
	char *repository, *url, *shared;
	struct git *git, *theirs; /* theirs: of a repository on this machine; else NULL */
	int lock;
	bool elsewhere; /* what is fetched is not of the clone's own url */
	struct ahead {
		char base[TREE_ID_SIZE], source[TREE_ID_SIZE]; /* "": nothing is expected */
		bool wants;                                    /* what the first two of the wanted will be */
		struct git_job job;
		bool begun;
	} ahead; /* the merge of trees that will be asked for */
	struct git_job commit; /* of the last merge */
	bool committing;
	struct near near;    /* what is being fetched */
	struct arena *arena; /* of what lasts as long */
};

/*
 * Every attribute that git itself knows (gitattributes(5)), unset or unspecified for every path: no conversion, filter, driver or
 * substitution is left. `merge` is unspecified: the built-in three-way merge, or "binary" for what is not text.
 */
static const char no_attributes[] =
	"* -text !crlf !eol -ident -filter !working-tree-encoding !merge !diff -export-ignore -export-subst !conflict-marker-size "
	"!whitespace !encoding !delta\n";

/* What git merge-tree and git commit-tree would read from a configuration. */
static const char *const merge_options[] = {
	"-c", "merge.renames=true", "-c", "merge.directoryRenames=conflict", "-c", "merge.renameLimit=7000",
	"-c", "merge.renormalize=false", "-c", "merge.conflictStyle=merge", "-c", "merge.default=text", "-c", "merge.verbosity=2",
	"-c", "diff.algorithm=histogram", "-c", "diff.renames=true", "-c", "i18n.commitEncoding=UTF-8", "-c", "core.abbrev=40",
	NULL};

/* Objects that git fsck calls errors are refused, but for mistakes that old repositories are full of and that do no harm. */
static const char *const fetch_options[] = {
	"-c", "fetch.fsckObjects=true", "-c", "fetch.fsck.zeroPaddedFilemode=ignore", "-c", "fetch.fsck.missingSpaceBeforeDate=ignore",
	"-c", "fetch.fsck.badTimezone=ignore", "-c", "fetch.fsck.missingEmail=ignore", "-c", "fetch.unpackLimit=100",
	"-c", "submodule.recurse=false", NULL};

/* As make_repository leaves it. */
static bool is_made(const struct tree *tree)
{
	struct stat st;
	char *head = NULL, *attributes = NULL;

	if (asprintf(&head, "%s/HEAD", tree->repository) < 0 || asprintf(&attributes, "%s/info/attributes", tree->repository) < 0)
		abort();
	bool made = stat(head, &st) == 0 && stat(attributes, &st) == 0 && st.st_size == sizeof no_attributes - 1;
	free(attributes);
	free(head);
	return made;
}

static int make_repository(struct tree *tree, struct err *err)
{
	struct child_result result;
	struct stat st;
	int done = -1;

	char *head = NULL, *folder = NULL, *attributes = NULL;
	if (asprintf(&head, "%s/HEAD", tree->repository) < 0 || asprintf(&folder, "%s/info", tree->repository) < 0 ||
		asprintf(&attributes, "%s/info/attributes", tree->repository) < 0)
		abort();
	if (stat(head, &st) < 0) {
		const struct git_call call = {.arguments = GIT_ARGUMENTS("init", "--quiet", "--bare", "--template=", "--", tree->repository)};
		int ran = git_run(tree->git, &call, &result, err);
		if (ran == 0 && result.status != 0)
			ran = git_failed(&result, "init", err);
		child_result_release(&result);
		if (ran < 0)
			goto err0;
	}
	if (stat(attributes, &st) < 0 || st.st_size != sizeof no_attributes - 1) {
		if (file_make_folder(folder, 0700, err) < 0 || file_write(attributes, no_attributes, sizeof no_attributes - 1, 0600, err) < 0)
			goto err0;
	}
	done = 0;
err0:
	free(attributes);
	free(folder);
	free(head);
	return done;
}

/* The lock belongs to the open file, so that it ends with us. Taken anew it becomes the other kind, with a gap between. */
static int take_lock(struct tree *tree, int kind, struct err *err)
{
	const struct timespec pause = {.tv_nsec = TREE_LOCK_PAUSE_MS * 1000000L};
	int64_t until = clock_monotonic_us() + (int64_t)TREE_LOCK_MS * 1000;

	if (tree->lock < 0)
		tree->lock = open(tree->repository, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (tree->lock < 0)
		return err_set_errno(err, errno, "open the clone %s", tree->repository);
	while (flock(tree->lock, kind | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_set_errno(err, errno, "lock the clone %s", tree->repository);
		if (clock_monotonic_us() > until)
			return err_set(err, ERR_BUSY, "the clone %s has been in use for %d minutes", tree->repository, TREE_LOCK_MS / 60000);
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* Done alone, also in a clone that is shared. */
static int alone(struct tree *tree, int act(struct tree *tree, struct err *err), struct err *err)
{
	if (!tree->shared)
		return act(tree, err);
	if (take_lock(tree, LOCK_EX, err) < 0 || act(tree, err) < 0)
		return -1;
	return take_lock(tree, LOCK_SH, err);
}

static int open_repository(struct tree *tree, struct err *err)
{
	if (take_lock(tree, tree->shared ? LOCK_SH : LOCK_EX, err) < 0)
		return -1;
	return is_made(tree) ? 0 : alone(tree, make_repository, err);
}

struct tree *tree_open(const struct conf *conf, const struct tree_from *from, struct err *err)
{
	struct tree *tree = calloc(1, sizeof *tree);

	if (!tree || asprintf(&tree->repository, "%s/%s.git", from->folder, from->project) < 0 || !(tree->url = strdup(from->url)) ||
		(from->shared && !(tree->shared = strdup(from->shared))))
		abort();
	tree->lock = -1;
	tree->arena = arena_new();
	if (file_make_folder(tree->repository, 0700, err) < 0)
		goto err0;
	tree->git = git_new(conf, tree->repository, from->ssh_key, err);
	if (!tree->git || (from->url[0] == '/' && !(tree->theirs = git_elsewhere(conf, from->url, err))) || open_repository(tree, err) < 0)
		goto err0;
	return tree;
err0:
	tree_free(tree);
	return NULL;
}

static void stop_ahead(struct tree *tree)
{
	if (tree->ahead.begun)
		git_abandon(&tree->ahead.job);
	tree->ahead.begun = false;
}

static void stop_commit(struct tree *tree)
{
	if (tree->committing)
		git_abandon(&tree->commit);
	tree->committing = false;
}

void tree_free(struct tree *tree)
{
	if (!tree)
		return;
	near_stop(&tree->near);
	stop_ahead(tree);
	stop_commit(tree);
	if (tree->lock >= 0)
		close(tree->lock);
	git_free(tree->git);
	git_free(tree->theirs);
	arena_free(tree->arena);
	free(tree->shared);
	free(tree->url);
	free(tree->repository);
	free(tree);
}

const struct git *tree_git(const struct tree *tree)
{
	return tree->git;
}

/* The ref that keeps what was fetched: flat, so that names of the other side can't stand in each other's way; one for all proposals. */
static char *kept_ref(const struct tree *tree, struct arena *arena, const char *remote)
{
	const char *word = tree->shared ? tree->shared : "";
	char digest[CRYPTO_SHA256_HEX];

	if (tree->elsewhere || strncmp(remote, "refs/heads/", 11) != 0)
		return arena_printf(arena, "refs/byoci/%s%ssource", word, *word ? "-" : "");
	crypto_sha256(remote, strlen(remote), digest);
	return arena_printf(arena, "refs/byoci/%s%starget-%.16s", word, *word ? "-" : "", digest);
}

/* What each ref is at the other side now: "ID\tREF" lines. */
static int list_remote(struct tree *tree, struct arena *arena, struct tree_want *wants, size_t count, struct err *err)
{
	const char *arguments[TREE_REFS_MAXIMUM + 6] = {"ls-remote", "--refs", "--", tree->url};

	for (size_t i = 0; i < count; i++)
		arguments[4 + i] = wants[i].remote;
	char *text = git_text(tree->git, arena, &(struct git_call){.arguments = arguments}, NULL, err);
	if (!text)
		return -1;
	for (char *line, *rest = text; (line = strsep(&rest, "\n"));) {
		char *name = strchr(line, '\t');
		if (!name || (size_t)(name - line) >= TREE_ID_SIZE)
			continue;
		*name++ = 0;
		for (size_t i = 0; i < count; i++)
			if (strcmp(name, wants[i].remote) == 0)
				snprintf(wants[i].commit, sizeof wants[i].commit, "%s", line);
	}
	return 0;
}

static int run_fetch(struct tree *tree, const char *const *arguments, bool *absent, struct err *err)
{
	const struct git_call call = {.arguments = arguments, .options = fetch_options, .limit_ms = TREE_FETCH_MS};
	struct child_result result;

	int done = git_run(tree->git, &call, &result, err);
	const char *words = done == 0 && result.err.data ? result.err.data : "";
	*absent = done == 0 && result.status != 0 && strstr(words, "couldn't find remote ref");
	if (done == 0 && result.status != 0 && !*absent) {
		done = git_failed(&result, "fetch", err);
		if (strstr(words, "fsck error"))
			err->kind = ERR_REFUSED;
	}
	child_result_release(&result);
	return done;
}

/* Which of the wanted refs are there; at first all are taken to be. */
struct present {
	bool is[TREE_REFS_MAXIMUM];
	size_t count;
};

/* Commit and tree of each that was fetched, by one command. */
static int read_kept(struct tree *tree, struct arena *arena, struct tree_want *wants, const struct present *present, struct err *err)
{
	const char *arguments[2 * TREE_REFS_MAXIMUM + 2] = {"rev-parse"};
	size_t next = 1;

	for (size_t i = 0; i < present->count; i++) {
		if (!present->is[i])
			continue;
		const char *ref = kept_ref(tree, arena, wants[i].remote);
		arguments[next++] = arena_printf(arena, "%s^{commit}", ref);
		arguments[next++] = arena_printf(arena, "%s^{tree}", ref);
	}
	if (next == 1)
		return 0;
	char *rest = git_text(tree->git, arena, &(struct git_call){.arguments = arguments}, NULL, err);
	if (!rest)
		return err_wrap(err, "what was fetched");
	for (size_t i = 0; i < present->count; i++) {
		if (!present->is[i])
			continue;
		const char *commit = strsep(&rest, "\n"), *id = strsep(&rest, "\n");
		if (!commit || !id || strlen(commit) >= TREE_ID_SIZE || strlen(id) >= TREE_ID_SIZE)
			return err_set(err, ERR_SYSTEM, "git rev-parse wrote something else than ids");
		snprintf(wants[i].commit, sizeof wants[i].commit, "%s", commit);
		snprintf(wants[i].tree, sizeof wants[i].tree, "%s", id);
	}
	return 0;
}

/* The refs that are wanted, after the words of the command. */
static void push_refs(const struct tree *tree, struct arena *arena, const char **arguments, const struct tree_want *wants,
	const struct present *present)
{
	size_t next = TREE_FETCH_WORDS;

	for (size_t i = 0; i < present->count; i++)
		if (present->is[i])
			arguments[next++] = arena_printf(arena, "+%s:%s", wants[i].remote, kept_ref(tree, arena, wants[i].remote));
	arguments[next] = NULL;
}

/* `more`: where objects are that are not here yet, as git is told (git(1), GIT_ALTERNATE_OBJECT_DIRECTORIES); NULL: all are. */
static int begin_merge(struct tree *tree, const char *base, const char *source, const char *more, struct git_job *job, struct err *err)
{
	const char *environment[] = {more, NULL};
	const struct git_call call = {.arguments = GIT_ARGUMENTS("merge-tree", "--write-tree", "-z", "--messages", base, source),
		.options = merge_options, .environment = environment};

	if (git_begin(tree->git, &call, job, err) == 0)
		return 0;
	child_result_release(&job->result);
	return -1;
}

/* When it does not begin, it is made when it is asked for. */
static void begin_ahead(struct tree *tree, const char *base, const char *source, const char *more)
{
	struct ahead *ahead = &tree->ahead;
	struct err ignored = {0};

	stop_ahead(tree);
	if (ahead->wants) {
		snprintf(ahead->base, sizeof ahead->base, "%s", base);
		snprintf(ahead->source, sizeof ahead->source, "%s", source);
	}
	ahead->begun = ahead->base[0] && begin_merge(tree, ahead->base, ahead->source, more, &ahead->job, &ignored) == 0;
}

/* Here a shell starts it, which has nothing to do afterwards; elsewhere the words may be compared with what is let in. */
static const char *upload_pack(const char *url)
{
	return url[0] == '/' ? "--upload-pack=exec git-upload-pack" : "--upload-pack=git-upload-pack";
}

/*
 * 1: done; 0: it is git fetch's matter. The merge of what is wanted begins with objects that were not looked at yet: it is believed only
 * after tree_whole(); that of what was expected is believed by who asks for it, and so begins when they are here.
 */
static int fetch_near(struct tree *tree, struct tree_want *wants, size_t count)
{
	struct near *near = &tree->near;
	const char *more = NULL;

	if (!tree->theirs || tree->elsewhere)
		return 0;
	if (tree->ahead.wants && !strchr(tree->url, ':')) /* which would part it */
		more = arena_printf(tree->arena, "GIT_ALTERNATE_OBJECT_DIRECTORIES=%s/objects", tree->url);
	near_stop(near);
	*near = (struct near){.ours = tree->git, .theirs = tree->theirs, .repository = tree->repository, .count = count};
	for (size_t i = 0; i < count; i++) {
		near->wanted[i] = wants[i].remote;
		near->kept[i] = kept_ref(tree, tree->arena, wants[i].remote);
	}
	if (!near_look(near, tree->arena))
		return 0;
	if (more)
		begin_ahead(tree, near->ids[0], near->ids[count - 1], more);
	if (!near_fetch(near, tree->arena))
		goto err0;
	if (!more)
		begin_ahead(tree, near->ids[0], near->ids[count - 1], NULL);
	if (!more && !(near_whole(near, tree->arena) && near_keep(near, tree->arena)))
		goto err0;
	for (size_t i = 0; i < count; i++) {
		snprintf(wants[i].commit, sizeof wants[i].commit, "%s", near->ids[i]);
		snprintf(wants[i].tree, sizeof wants[i].tree, "%s", near->trees[i]);
	}
	return 1;
err0:
	stop_ahead(tree);
	return 0;
}

/* One round trip; only when a ref is missing, another to learn which, and the fetch again without it. */
static int fetch(struct tree *tree, struct arena *arena, struct tree_want *wants, size_t count, struct err *err)
{
	const char *arguments[TREE_FETCH_WORDS + TREE_REFS_MAXIMUM + 1] = {"fetch", "--quiet", "--no-tags", "--no-write-fetch-head",
		"--no-recurse-submodules", "--no-auto-maintenance", "--force", upload_pack(tree->url), "--", tree->url};
	struct present present = {.count = count};
	bool absent = false, any = false;

	for (size_t i = 0; i < count; i++) {
		wants[i] = (struct tree_want){.remote = wants[i].remote};
		present.is[i] = true;
	}
	if (fetch_near(tree, wants, count))
		return 0;
	push_refs(tree, arena, arguments, wants, &present);
	if (run_fetch(tree, arguments, &absent, err) < 0)
		return -1;
	if (absent) {
		if (list_remote(tree, arena, wants, count, err) < 0)
			return -1;
		for (size_t i = 0; i < count; i++)
			any |= present.is[i] = wants[i].commit[0] != 0;
		push_refs(tree, arena, arguments, wants, &present);
		if (any && run_fetch(tree, arguments, &absent, err) < 0)
			return -1;
		if (any && absent)
			return err_set(err, ERR_NETWORK, "refs of %s come and go while they are fetched; try again", tree->url);
	}
	begin_ahead(tree, kept_ref(tree, arena, wants[0].remote), kept_ref(tree, arena, wants[count - 1].remote), NULL);
	return read_kept(tree, arena, wants, &present, err);
}

/* Everything in the clone's folder goes, the folder and its lock stay. */
static int make_anew(struct tree *tree, struct err *err)
{
	struct child child = CHILD_INIT;
	const char *const argv[] = {"find", tree->repository, "-xdev", "-mindepth", "1", "-delete", NULL};
	struct child_result result;

	child.argv = argv;
	int done = child_run(&child, &(struct child_input){.limit_ms = GIT_LIMIT_MS}, &result, err);
	if (done == 0 && result.status != 0)
		done = err_set(err, ERR_SYSTEM, "cannot empty %s", tree->repository);
	child_result_release(&result);
	return done < 0 ? -1 : make_repository(tree, err);
}

int tree_fetch(struct tree *tree, struct tree_want *wants, size_t count, struct err *err)
{
	struct arena *arena = arena_new();

	if (count > TREE_REFS_MAXIMUM)
		err_fatal("more than %d refs to fetch", TREE_REFS_MAXIMUM);
	int done = fetch(tree, arena, wants, count, err);
	if (done < 0 && err->kind == ERR_SYSTEM) {
		log_warning(LOG_WHAT("a clone is made anew"), LOG_TEXT("clone", tree->repository), LOG_ERR(err));
		err_clear(err);
		stop_ahead(tree);
		done = alone(tree, make_anew, err) < 0 ? -1 : fetch(tree, arena, wants, count, err);
	}
	arena_free(arena);
	return done;
}

int tree_whole(struct tree *tree, struct err *err)
{
	if (!tree->near.asks || near_whole(&tree->near, tree->arena))
		return 0;
	return err_set(err, ERR_SYSTEM, "not all that was fetched is here");
}

void tree_keep(struct tree *tree)
{
	struct tree_want wants[NEAR_REFS] = {{0}};
	struct err err = {0};

	if (!tree->near.whole || near_keep(&tree->near, tree->arena))
		return;
	tree->ahead.wants = false;
	tree->ahead.base[0] = 0;
	for (size_t i = 0; i < tree->near.count; i++)
		wants[i].remote = tree->near.wanted[i];
	if (tree_fetch(tree, wants, tree->near.count, &err) < 0)
		log_warning(LOG_WHAT("what was fetched is not kept"), LOG_TEXT("clone", tree->repository), LOG_ERR(&err));
}

int tree_fetch_from(struct tree *tree, const char *url, struct tree_want *want, struct err *err)
{
	char *own = tree->url;
	int done;

	if (!(tree->url = strdup(url)))
		abort();
	tree->elsewhere = true;
	struct arena *arena = arena_new();
	done = fetch(tree, arena, want, 1, err);
	arena_free(arena);
	tree->elsewhere = false;
	free(tree->url);
	tree->url = own;
	return done;
}

int tree_descends(struct tree *tree, const char *ancestor, const char *descendant, bool *descends, struct err *err)
{
	const struct git_call call = {.arguments = GIT_ARGUMENTS("merge-base", "--is-ancestor", ancestor, descendant)};
	struct child_result result;

	int done = git_run(tree->git, &call, &result, err);
	if (done == 0 && result.status > 1) {
		done = git_failed(&result, "merge-base", err);
		if (result.err.data && strstr(result.err.data, "Not a valid commit name"))
			err->kind = ERR_NOT_FOUND;
	}
	if (done == 0)
		*descends = result.status == 0;
	child_result_release(&result);
	return done;
}

static int read_merge(struct arena *arena, const struct tree_merge *merge, const struct child_result *result, struct tree_merged *merged,
	struct err *err)
{
	if (result->status == 1 && result->out.data)
		return conflicts_read(arena, result, &merged->conflicts, err);
	if (result->status != 0 || !result->out.data) {
		if (result->err.data && strstr(result->err.data, "unrelated histories"))
			return err_set(err, ERR_CONFLICT, "%s and %s have no common history", merge->base, merge->source);
		return git_failed(result, "merge-tree", err);
	}
	if (strnlen(result->out.data, TREE_ID_SIZE) >= TREE_ID_SIZE)
		return err_set(err, ERR_SYSTEM, "git merge-tree wrote something else than the id of a tree");
	snprintf(merged->tree, sizeof merged->tree, "%.64s", result->out.data);
	return 0;
}

static int merge_trees(struct tree *tree, struct arena *arena, const struct tree_merge *merge, struct tree_merged *merged, struct err *err)
{
	struct ahead *ahead = &tree->ahead;
	bool expected = ahead->begun && strcmp(ahead->base, merge->base) == 0 && strcmp(ahead->source, merge->source) == 0;
	struct git_job job = {0}, *merging = expected ? &ahead->job : &job;

	if (!expected && begin_merge(tree, merge->base, merge->source, NULL, merging, err) < 0)
		return -1;
	int done = git_end(merging, err);
	if (done == 0)
		done = read_merge(arena, merge, &merging->result, merged, err);
	child_result_release(&merging->result);
	if (expected)
		ahead->begun = false;
	return done;
}

int tree_commit_begin(struct tree *tree, struct arena *arena, const struct tree_merge *merge, const char *id, struct err *err)
{
	const char *environment[] = {
		arena_printf(arena, "GIT_AUTHOR_NAME=%s", merge->author), arena_printf(arena, "GIT_AUTHOR_EMAIL=%s", merge->mail),
		arena_printf(arena, "GIT_AUTHOR_DATE=@%lld +0000", (long long)merge->date),
		arena_printf(arena, "GIT_COMMITTER_NAME=%s", merge->author), arena_printf(arena, "GIT_COMMITTER_EMAIL=%s", merge->mail),
		arena_printf(arena, "GIT_COMMITTER_DATE=@%lld +0000", (long long)merge->date), NULL};
	const struct git_call call = {
		.arguments = GIT_ARGUMENTS("commit-tree", "-p", merge->base, "-p", merge->source, "-F", "-", id),
		.options = merge_options,
		.environment = environment,
		.input = merge->message,
		.input_length = strlen(merge->message)};

	stop_commit(tree);
	tree->committing = git_begin(tree->git, &call, &tree->commit, err) == 0;
	if (tree->committing)
		return 0;
	child_result_release(&tree->commit.result);
	return -1;
}

void tree_expect(struct tree *tree, const char *base, const char *source)
{
	stop_ahead(tree);
	tree->ahead.wants = false;
	snprintf(tree->ahead.base, sizeof tree->ahead.base, "%s", base);
	snprintf(tree->ahead.source, sizeof tree->ahead.source, "%s", source);
}

void tree_expect_wants(struct tree *tree)
{
	stop_ahead(tree);
	tree->ahead.wants = true;
}

int tree_merge_wants(struct tree *tree, struct arena *arena, struct tree_merged *merged, struct err *err)
{
	const struct tree_merge merge = {.base = arena_strdup(arena, tree->ahead.base), .source = arena_strdup(arena, tree->ahead.source)};

	*merged = (struct tree_merged){0};
	return merge_trees(tree, arena, &merge, merged, err);
}

int tree_merge_begin(struct tree *tree, struct arena *arena, const struct tree_merge *merge, struct tree_merged *merged, struct err *err)
{
	*merged = (struct tree_merged){0};
	return merge_trees(tree, arena, merge, merged, err) < 0 ? -1 : tree_commit_begin(tree, arena, merge, merged->tree, err);
}

int tree_merge_end(struct tree *tree, struct arena *arena, struct tree_merged *merged, struct err *err)
{
	size_t length = 0;
	char *commit = git_end_text(&tree->commit, arena, &length, err);

	tree->committing = false;
	if (!commit)
		return -1;
	if (length >= TREE_ID_SIZE)
		return err_set(err, ERR_SYSTEM, "git commit-tree wrote something else than the id of a commit");
	snprintf(merged->commit, sizeof merged->commit, "%s", commit);
	return 0;
}

int tree_merge(struct tree *tree, struct arena *arena, const struct tree_merge *merge, struct tree_merged *merged, struct err *err)
{
	return tree_merge_begin(tree, arena, merge, merged, err) < 0 ? -1 : tree_merge_end(tree, arena, merged, err);
}
