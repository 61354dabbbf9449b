#include "slaves/test/ahead.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/child.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "base/log.h"
#include "forge/dialect.h"
#include "forge/outcome.h"
#include "slaves/record/builds.h"
#include "slaves/test/clone.h"
#include "slaves/test/premade.h"
#include "slaves/tree/export.h"

#define AHEAD_WAITING 16 /* of more the oldest is forgotten */
#define AHEAD_KEEP_S (24 * 3600)
#define AHEAD_TEXT 4096
#define WORD "ahead" /* of who shares the clone: slaves/tree/tree.h */
#define ID_DIGITS 32
#define MAKING ".making"
#define MERGING "merging" /* in the folder, locked until made.json is there */

struct wanted {
	TAILQ_ENTRY(wanted) link;
	char id[ID_DIGITS + 1];
	char *project, *proposal;
};

struct ahead {
	struct loop *loop;
	const struct program *program;
	struct trash *trash;
	char *folder;
	struct loop_source *child;
	TAILQ_HEAD(, wanted) wanted;
	size_t count;
};

static void id_of(const char *project, const char *proposal, char id[static ID_DIGITS + 1])
{
	struct arena *arena = arena_new();
	char digest[CRYPTO_SHA256_HEX];
	const char *text = arena_printf(arena, "%s/%s", project, proposal); /* neither has a slash */

	crypto_sha256(text, strlen(text), digest);
	snprintf(id, ID_DIGITS + 1, "%.*s", ID_DIGITS, digest);
	arena_free(arena);
}

static bool is_id(const char *name)
{
	return strlen(name) == ID_DIGITS && strspn(name, "0123456789abcdef") == ID_DIGITS;
}

static void forget(struct ahead *ahead, struct wanted *wanted)
{
	TAILQ_REMOVE(&ahead->wanted, wanted, link);
	ahead->count--;
	free(wanted->project);
	free(wanted->proposal);
	free(wanted);
}

static void drop(struct ahead *ahead, const char *name)
{
	struct arena *arena = arena_new();
	struct err err = {0};

	if (trash_take(ahead->trash, arena_printf(arena, "%s/%s", ahead->folder, name), &err) < 0)
		log_warning(LOG_WHAT("a merge made ahead cannot be removed"), LOG_TEXT("name", name), LOG_ERR(&err));
	arena_free(arena);
}

struct found {
	char id[ID_DIGITS + 1];
	time_t time;
};

static int newer(const void *one, const void *other)
{
	const struct found *a = one, *b = other;

	return a->time != b->time ? (a->time < b->time ? 1 : -1) : strcmp(a->id, b->id);
}

void ahead_sweep(struct ahead *ahead)
{
	struct arena *arena = arena_new();
	struct dirent **entries = NULL;
	struct err err = {0};
	int64_t maximum = 0;
	size_t count = 0;
	struct stat st;

	if (conf_integer(ahead->program->conf, NULL, "premade.maximum", &maximum, &err) < 0)
		log_error(LOG_WHAT("premade.maximum"), LOG_ERR(&err));
	int all = scandir(ahead->folder, &entries, NULL, NULL);
	struct found *found = arena_alloc(arena, (size_t)(all > 0 ? all : 1) * sizeof *found);
	for (int i = 0; i < all; i++) {
		if (is_id(entries[i]->d_name) && lstat(arena_printf(arena, "%s/%s", ahead->folder, entries[i]->d_name), &st) == 0) {
			snprintf(found[count].id, sizeof found[count].id, "%.*s", ID_DIGITS, entries[i]->d_name);
			found[count++].time = st.st_mtim.tv_sec;
		}
		free(entries[i]);
	}
	free(entries);
	if (count > 1)
		qsort(found, count, sizeof *found, newer);
	for (size_t i = 0; i < count; i++)
		if (i >= (size_t)maximum || found[i].time < time(NULL) - AHEAD_KEEP_S)
			drop(ahead, found[i].id);
	arena_free(arena);
}

/* What the process that makes one has from the daemon. */
struct making {
	const struct program *program;
	const struct wanted *wanted;
	const char *path; /* of the finished one */
	struct arena *arena;
	struct tree *tree;
};

static const char *target_of(const struct making *making, struct err *err)
{
	const char *section = arena_printf(making->arena, "project/%s", making->wanted->project);
	const char *const *targets;

	if (conf_list(making->program->conf, making->arena, section, "target", &targets, err) < 0)
		return NULL;
	if (!targets[0]) {
		err_set(err, ERR_CONFIG, "%s: no target", section);
		return NULL;
	}
	return strncmp(targets[0], "refs/", 5) == 0 ? targets[0] : arena_printf(making->arena, "refs/heads/%s", targets[0]);
}

/* What does not merge, may not be exported or changes nothing is for a build to tell. */
static int fetch_and_merge(struct making *making, struct tree_want wants[static 2], struct tree_merged *merged, struct err *err)
{
	const char *section = arena_printf(making->arena, "project/%s", making->wanted->project);
	int64_t maximum = 0;

	making->tree = clone_open(making->program, making->wanted->project, WORD, err);
	if (!making->tree || conf_integer(making->program->conf, section, "tree.limit", &maximum, err) < 0)
		return -1;
	tree_expect_wants(making->tree);
	if (tree_fetch(making->tree, wants, 2, err) < 0)
		return -1;
	if (!wants[0].commit[0] || !wants[1].commit[0])
		return err_set(err, ERR_NOT_FOUND, "%s is gone", wants[wants[0].commit[0] ? 1 : 0].remote);
	if (tree_merge_wants(making->tree, making->arena, merged, err) < 0)
		return -1;
	if (strcmp(merged->tree, wants[0].tree) == 0)
		return err_set(err, ERR_NOT_FOUND, "the merge changes nothing");
	return export_check(making->tree, merged->tree, maximum, err);
}

static int export(struct making *making, const char *folder, const struct tree_merged *merged, struct err *err)
{
	const char *workspace = arena_printf(making->arena, "%s/layer/workspace", folder);

	if (file_make_folder(workspace, 0755, err) < 0)
		return -1;
	return export_files(making->tree, merged->tree, workspace, arena_printf(making->arena, "%s/index", folder), err);
}

/* Who waits may write the commit while the files are. */
static int tell(const struct making *making, const char *folder, const struct tree_want wants[static 2], const struct tree_merged *merged,
	struct err *err)
{
	const char *made = arena_printf(making->arena, "%s/made.json", folder);
	json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "target", wants[0].remote, "base", wants[0].commit, "source", wants[1].commit,
		"tree", merged->tree);
	int written = json ? json_dump_file(json, made, JSON_COMPACT) : -1;

	json_decref(json);
	return written < 0 ? err_set(err, ERR_SYSTEM, "%s cannot be written", made) : 0;
}

/* Locked; it is free when the descriptor is closed, or when this process ends. */
static int begin_merging(const struct making *making, const char *folder, struct err *err)
{
	const char *path = arena_printf(making->arena, "%s/" MERGING, folder);
	int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ? err_set_errno(err, errno, "lock %s", path) : fd;
}

/* Now it has its name, and is believed. */
static int finish(const struct making *making, const char *folder, struct err *err)
{
	if (unlink(arena_printf(making->arena, "%s/" MERGING, folder)) < 0)
		return err_set_errno(err, errno, "remove %s/" MERGING, folder);
	return rename(folder, making->path) < 0 ? err_set_errno(err, errno, "rename %s", folder) : 0;
}

static int make_all(struct making *making, struct err *err)
{
	const char *folder = arena_printf(making->arena, "%s" MAKING, making->path), *target = target_of(making, err);
	struct tree_merged merged;
	int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW), merging;

	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0) /* it ends with the process */
		return err_set_errno(err, errno, "lock %s", folder);
	if (!target || (merging = begin_merging(making, folder, err)) < 0)
		return -1;
	struct tree_want wants[2] = {
		{.remote = target}, {.remote = arena_printf(making->arena, "refs/proposals/%s/head", making->wanted->proposal)}};
	if (fetch_and_merge(making, wants, &merged, err) < 0 || tree_whole(making->tree, err) < 0 ||
		tell(making, folder, wants, &merged, err) < 0)
		return -1;
	close(merging);
	if (export(making, folder, &merged, err) < 0 || finish(making, folder, err) < 0)
		return -1;
	close(lock); /* who waits has it */
	tree_keep(making->tree);
	return 0;
}

/* In a copy of the daemon. */
static int make(void *cookie)
{
	struct making *making = cookie;
	struct err err = {0};
	int done = make_all(making, &err);

	if (done < 0)
		log_debug(LOG_WHAT("a merge was not made ahead"), LOG_TEXT("project", making->wanted->project),
			LOG_TEXT("proposal", making->wanted->proposal), LOG_ERR(&err));
	tree_free(making->tree);
	return done < 0 ? outcome_exit(OUTCOME_INFRASTRUCTURE) : 0;
}

static void begin(struct ahead *ahead);

static void ended(void *cookie, int status)
{
	struct ahead *ahead = cookie;
	struct wanted *wanted = TAILQ_FIRST(&ahead->wanted);
	char name[ID_DIGITS + sizeof MAKING];

	ahead->child = NULL;
	snprintf(name, sizeof name, "%s" MAKING, wanted->id);
	log_debug(LOG_WHAT("a merge was made ahead"), LOG_TEXT("proposal", wanted->proposal), LOG_NUMBER("status", status));
	forget(ahead, wanted);
	if (status != 0)
		drop(ahead, name);
	ahead_sweep(ahead);
	begin(ahead);
}

/* What there is of the proposal is past. */
static int start(struct ahead *ahead, const struct wanted *wanted, struct err *err)
{
	struct arena *arena = arena_new();
	struct making making = {.program = ahead->program, .wanted = wanted, .arena = arena,
		.path = arena_printf(arena, "%s/%s", ahead->folder, wanted->id)};
	const struct child_task task = {.act = make, .cookie = &making, .out = -1};
	const char *folder = arena_printf(arena, "%s" MAKING, making.path);
	pid_t pid;
	int done = -1;

	if ((access(making.path, F_OK) == 0 && trash_take(ahead->trash, making.path, err) < 0) ||
		(access(folder, F_OK) == 0 && trash_take(ahead->trash, folder, err) < 0) || file_make_folder(folder, 0700, err) < 0)
		goto err0;
	done = child_copy(&task, &pid, err);
	if (done == 0)
		ahead->child = loop_child(ahead->loop, pid, ended, ahead);
err0:
	arena_free(arena);
	return done;
}

/* The first one is being made, if one is. */
static void begin(struct ahead *ahead)
{
	struct wanted *wanted;
	struct err err = {0};

	while (!ahead->child && (wanted = TAILQ_FIRST(&ahead->wanted))) {
		if (start(ahead, wanted, &err) == 0)
			return;
		log_warning(LOG_WHAT("a merge is not made ahead"), LOG_TEXT("proposal", wanted->proposal), LOG_ERR(&err));
		err_clear(&err);
		forget(ahead, wanted);
	}
}

struct ahead *ahead_new(struct loop *loop, const struct program *program, struct trash *trash, struct err *err)
{
	const char *folder = program_state(program, "slave/ahead", err);

	if (!folder || trash_take(trash, folder, err) < 0 || file_make_folder(folder, 0700, err) < 0)
		return NULL;
	struct ahead *ahead = calloc(1, sizeof *ahead);
	if (!ahead || !(ahead->folder = strdup(folder)))
		abort();
	ahead->loop = loop;
	ahead->program = program;
	ahead->trash = trash;
	TAILQ_INIT(&ahead->wanted);
	return ahead;
}

void ahead_free(struct ahead *ahead)
{
	if (!ahead)
		return;
	loop_cancel(ahead->child);
	while (!TAILQ_EMPTY(&ahead->wanted))
		forget(ahead, TAILQ_FIRST(&ahead->wanted));
	free(ahead->folder);
	free(ahead);
}

/* Only where a proposal's commit is at a ref of the project's own repository. */
static int check(const struct ahead *ahead, const char *project, const char *proposal, struct err *err)
{
	const struct program *program = ahead->program;
	const char *account, *word;
	const struct dialect *dialect;
	int64_t maximum = 0;

	if (!forge_name_valid(proposal) || !forge_name_valid(project))
		return err_set(err, ERR_INPUT, "that is not the name of a project and of a proposal");
	if (conf_integer(program->conf, NULL, "premade.maximum", &maximum, err) < 0)
		return -1;
	if (maximum == 0)
		return err_set(err, ERR_REFUSED, "premade.maximum is 0 here: no merge is made beforehand");
	struct program brief = *program; /* its arena ends here */
	brief.arena = arena_new();
	int done = conf_has_section(program->conf, arena_printf(brief.arena, "project/%s", project)) ? 0
		: err_set(err, ERR_REFUSED, "project %.64s is not configured here", project);
	account = done == 0 ? program_section_option(&brief, "project", project, "account", err) : NULL;
	word = account ? program_section_option(&brief, "account", account, "dialect", err) : NULL;
	dialect = word ? dialect_find(word) : NULL;
	if (done == 0 && (!dialect || dialect->by_name))
		done = word ? err_set(err, ERR_REFUSED, "the commits of proposals of %s are elsewhere", word) : -1;
	arena_free(brief.arena);
	return done;
}

/* One that is just being made may have fetched before this push. */
int ahead_ask(struct ahead *ahead, const json_t *message, struct err *err)
{
	const struct wanted *first = TAILQ_FIRST(&ahead->wanted);
	const char *project = NULL, *proposal = NULL;
	struct wanted *wanted;

	if (jsonget_string(message, "project", &project, err) < 0 || jsonget_string(message, "proposal", &proposal, err) < 0 ||
		check(ahead, project, proposal, err) < 0)
		return -1;
	wanted = calloc(1, sizeof *wanted);
	if (!wanted || !(wanted->project = strdup(project)) || !(wanted->proposal = strdup(proposal)))
		abort();
	id_of(project, proposal, wanted->id);
	for (struct wanted *other = first ? TAILQ_NEXT(first, link) : NULL, *next; other; other = next) {
		next = TAILQ_NEXT(other, link);
		if (strcmp(other->id, wanted->id) == 0 || ahead->count >= AHEAD_WAITING)
			forget(ahead, other);
	}
	TAILQ_INSERT_TAIL(&ahead->wanted, wanted, link);
	ahead->count++;
	begin(ahead);
	return 0;
}

static bool is(const json_t *json, const char *key, const char *wanted)
{
	return strcmp(jsonget_string_or(json, key, ""), wanted) == 0;
}

/* 1: it is of the spec's own commits. */
static int read_made(const struct ahead_wish *wish, const char *path, char tree[static TREE_ID_SIZE], struct arena *arena)
{
	const struct spec_tree *wanted = &wish->spec->trees[0];
	struct err absent = {0};
	size_t length = 0;
	const char *text = file_read(arena, arena_printf(arena, "%s/made.json", path), AHEAD_TEXT, &length, &absent);
	json_t *json = text ? jsonget_parse(text, length, 100, &absent) : NULL;
	const char *id = jsonget_string_or(json, "tree", "");
	int done = is(json, "target", wish->spec->target) && is(json, "base", wanted->base) &&
		is(json, "source", wanted->merges[0].source) && forge_commit_valid(id);

	if (done)
		snprintf(tree, TREE_ID_SIZE, "%s", id);
	json_decref(json);
	return done;
}

/*
 * The folder becomes ours as a whole before we believe what it is of: the daemon may put that of the next push there at any moment.
 */
static int take(const struct ahead_wish *wish, const char *path, char tree[static TREE_ID_SIZE], struct arena *arena, struct err *err)
{
	const char *ours = arena_printf(arena, "%s" AHEAD_TAKEN, wish->layer);

	tree[0] = 0;
	if (rename(path, ours) < 0)
		return errno == ENOENT ? 0 : err_set_errno(err, errno, "take %s", path);
	if (!read_made(wish, ours, tree, arena))
		return builds_remove(ours, err);
	if (rename(arena_printf(arena, "%s/layer", ours), wish->layer) < 0)
		return err_set_errno(err, errno, "take %s/layer", ours);
	unlink(arena_printf(arena, "%s/made.json", ours));
	rmdir(ours);
	return 1;
}

/* Where it will be; NULL: it is of a kind that is not made ahead, or err. */
static const char *path_of(const struct ahead_wish *wish, struct arena *arena, struct err *err)
{
	const char *folder = program_state(wish->program, "slave/ahead", err);
	char id[ID_DIGITS + 1];

	if (!folder || wish->spec->trees[0].merges[0].from)
		return NULL;
	id_of(wish->spec->project, wish->spec->proposal, id);
	return arena_printf(arena, "%s/%s", folder, id);
}

int ahead_expect(const struct ahead_wish *wish, char tree[static TREE_ID_SIZE], struct arena *arena, struct err *err)
{
	const char *path = path_of(wish, arena, err);

	if (!path)
		return err->kind == ERR_NONE ? 0 : -1;
	const char *making = arena_printf(arena, "%s" MAKING, path);
	premade_await(arena_printf(arena, "%s/" MERGING, making));
	return read_made(wish, making, tree, arena);
}

int ahead_take(const struct ahead_wish *wish, char tree[static TREE_ID_SIZE], struct arena *arena, struct err *err)
{
	const char *path = path_of(wish, arena, err);

	if (!path)
		return err->kind == ERR_NONE ? 0 : -1;
	premade_await(arena_printf(arena, "%s" MAKING, path));
	if (!read_made(wish, path, tree, arena))
		return 0;
	return take(wish, path, tree, arena, err);
}
