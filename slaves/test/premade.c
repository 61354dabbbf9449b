#include "slaves/test/premade.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/crash.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/log.h"
#include "slaves/test/prepared.h"

#define PREMADE_WAITING 64 /* of more the oldest is forgotten */
#define PREMADE_KEEP_S (24 * 3600)
#define PREMADE_TEXT ((size_t)64 * 1024)
#define PREMADE_NICE 10
#define PART 16            /* hex digits of a part of a name */
#define NAME_SIZE (3 * (PART + 1) + 33)
#define MAKING ".making"

struct waiting {
	TAILQ_ENTRY(waiting) link;
	char name[NAME_SIZE];
	char *text; /* the spec */
};

struct premade {
	struct loop *loop;
	const struct program *program;
	struct trash *trash;
	char *folder;
	struct loop_source *child;
	char making[NAME_SIZE]; /* "": none */
	TAILQ_HEAD(, waiting) waiting;
	size_t count;
};

static void digest_of(char *out, size_t digits, const char *const *texts, size_t count)
{
	char digest[CRYPTO_SHA256_HEX];
	struct buf text;

	buf_init(&text, SPEC_MAXIMUM * 2);
	for (size_t i = 0; i < count; i++)
		if (buf_printf(&text, "%zu:", strlen(texts[i])) < 0 || buf_adds(&text, texts[i]) < 0)
			err_fatal("a spec over its size");
	crypto_sha256(text.data ? text.data : "", text.length, digest);
	buf_release(&text);
	memcpy(out, digest, digits);
	out[digits] = 0;
}

/* TARGET-TIP-PROPOSAL-MERGE: everything that the merge, its message and where it is fetched from are made of is in the last one. */
static void name_of(const struct spec *spec, char name[static NAME_SIZE])
{
	const struct spec_tree *tree = &spec->trees[0];
	const struct spec_merge *merge = &tree->merges[0];
	char date[32], target[PART + 1], proposal[PART + 1], all[33];

	snprintf(date, sizeof date, "%lld", (long long)merge->date);
	digest_of(target, PART, (const char *const[]){spec->project, spec->target}, 2);
	digest_of(proposal, PART, (const char *const[]){spec->project, spec->proposal}, 2);
	const char *const texts[] = {spec->namespace, spec->project, spec->proposal, spec->target, tree->repository, tree->base, tree->path,
		merge->source, merge->method, merge->message, merge->author, date, merge->from ? merge->from : "", merge->ref ? merge->ref : ""};
	digest_of(all, 32, texts, sizeof texts / sizeof texts[0]);
	snprintf(name, NAME_SIZE, "%s-%.*s-%s-%s", target, PART, tree->base, proposal, all);
}

/* Whether `other` is of the same target at another tip, or another merge of the same proposal. */
static bool is_past(const char *other, const char *name)
{
	const size_t tip = PART + 1, proposal = 2 * (PART + 1), all = 3 * (PART + 1);

	if (memcmp(other, name, PART) != 0)
		return false;
	return memcmp(other + tip, name + tip, PART) != 0 ||
		(memcmp(other + proposal, name + proposal, PART) == 0 && memcmp(other + all, name + all, 32) != 0);
}

static bool is_name(const char *name)
{
	return strlen(name) == NAME_SIZE - 1 && strspn(name, "0123456789abcdef-") == NAME_SIZE - 1;
}

static void drop(struct premade *premade, const char *name, const char *why)
{
	struct arena *arena = arena_new();
	struct err err = {0};

	if (trash_take(premade->trash, arena_printf(arena, "%s/%s", premade->folder, name), &err) < 0)
		log_warning(LOG_WHAT("a merge made beforehand cannot be removed"), LOG_TEXT("name", name), LOG_ERR(&err));
	else
		log_debug(LOG_WHAT("a merge made beforehand is removed"), LOG_TEXT("name", name), LOG_TEXT("why", why));
	arena_free(arena);
}

static void forget(struct premade *premade, struct waiting *waiting)
{
	TAILQ_REMOVE(&premade->waiting, waiting, link);
	premade->count--;
	free(waiting->text);
	free(waiting);
}

struct made {
	char name[NAME_SIZE];
	time_t time;
};

static int newer(const void *one, const void *other)
{
	const struct made *a = one, *b = other;

	return a->time != b->time ? (a->time < b->time ? 1 : -1) : strcmp(a->name, b->name);
}

/* The finished ones, the newest first. */
static size_t list(const struct premade *premade, struct arena *arena, struct made **found)
{
	struct dirent **entries = NULL;
	size_t count = 0;
	struct stat st;

	int all = scandir(premade->folder, &entries, NULL, NULL);
	*found = arena_alloc(arena, (size_t)(all > 0 ? all : 1) * sizeof **found);
	for (int i = 0; i < all; i++) {
		const char *path = arena_printf(arena, "%s/%s", premade->folder, entries[i]->d_name);
		if (is_name(entries[i]->d_name) && lstat(path, &st) == 0) {
			struct made *made = &(*found)[count++];
			snprintf(made->name, sizeof made->name, "%.*s", NAME_SIZE - 1, entries[i]->d_name);
			made->time = st.st_mtim.tv_sec;
		}
		free(entries[i]);
	}
	free(entries);
	if (count > 1)
		qsort(*found, count, sizeof **found, newer);
	return count;
}

static int64_t maximum_of(const struct premade *premade)
{
	struct err err = {0};
	int64_t maximum = 0;

	if (conf_integer(premade->program->conf, NULL, "premade.maximum", &maximum, &err) < 0)
		log_error(LOG_WHAT("premade.maximum"), LOG_ERR(&err));
	return maximum;
}

void premade_sweep(struct premade *premade)
{
	struct arena *arena = arena_new();
	struct made *made;
	int64_t maximum = maximum_of(premade);
	size_t count = list(premade, arena, &made);

	for (size_t i = 0; i < count; i++)
		if (i >= (size_t)maximum)
			drop(premade, made[i].name, "there are newer ones");
		else if (made[i].time < time(NULL) - PREMADE_KEEP_S)
			drop(premade, made[i].name, "it was not asked for");
	arena_free(arena);
}

static void drop_past(struct premade *premade, const char *name)
{
	struct arena *arena = arena_new();
	struct made *made;
	size_t count = list(premade, arena, &made);

	for (size_t i = 0; i < count; i++)
		if (is_past(made[i].name, name))
			drop(premade, made[i].name, "another merge took its place");
	arena_free(arena);
	for (struct waiting *waiting = TAILQ_FIRST(&premade->waiting), *next; waiting; waiting = next) {
		next = TAILQ_NEXT(waiting, link);
		if (is_past(waiting->name, name))
			forget(premade, waiting);
	}
}

static void begin(struct premade *premade);

static void ended(void *cookie, int status)
{
	struct premade *premade = cookie;
	char name[NAME_SIZE + sizeof MAKING];

	premade->child = NULL;
	snprintf(name, sizeof name, "%s" MAKING, premade->making);
	drop(premade, name, "it did not come to an end"); /* a finished one has another name by now */
	log_debug(LOG_WHAT("a merge was made beforehand"), LOG_TEXT("name", premade->making), LOG_NUMBER("status", status));
	premade->making[0] = 0;
	premade_sweep(premade);
	begin(premade);
}

/* The folder with the spec in it, and made.json to write to. */
static int make_folder(struct premade *premade, struct arena *arena, const struct waiting *waiting, int *out, struct err *err)
{
	const char *folder = arena_printf(arena, "%s/%s" MAKING, premade->folder, waiting->name);
	const char *spec = arena_printf(arena, "%s/spec.json", folder);

	if (trash_take(premade->trash, folder, err) < 0 || file_make_folder(folder, 0700, err) < 0)
		return -1;
	int fd = open(spec, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t length = (ssize_t)strlen(waiting->text);
	bool written = fd >= 0 && write(fd, waiting->text, (size_t)length) == length;
	if (!written)
		err_set_errno(err, fd < 0 ? errno : ENOSPC, "%s", spec);
	if (fd >= 0)
		close(fd);
	if (!written)
		return -1;
	*out = open(arena_printf(arena, "%s/made.json", folder), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return *out < 0 ? err_set_errno(err, errno, "%s/made.json", folder) : 0;
}

static int start(struct premade *premade, const struct waiting *waiting, struct err *err)
{
	struct strv argv = STRV_INIT, environment = STRV_INIT;
	struct arena *arena = arena_new();
	struct child child = CHILD_INIT;
	pid_t pid;

	int done = make_folder(premade, arena, waiting, &child.out, err);
	if (done < 0)
		goto err0;
	program_command(premade->program, NULL, &argv, &environment);
	strv_pushl(&argv, "premake", waiting->name, NULL);
	child.argv = (const char *const *)argv.v;
	child.environment = (const char *const *)environment.v;
	child.err = STDERR_FILENO;
	child.dies_with_parent = true;
	done = child_spawn(&child, &pid, NULL, err);
	if (done == 0) {
		premade->child = loop_child(premade->loop, pid, ended, premade);
		snprintf(premade->making, sizeof premade->making, "%s", waiting->name);
	}
	close(child.out);
	strv_release(&argv);
	strv_release(&environment);
err0:
	arena_free(arena);
	return done;
}

static void begin(struct premade *premade)
{
	struct waiting *waiting;
	struct err err = {0};

	while (!premade->child && (waiting = TAILQ_FIRST(&premade->waiting))) {
		if (start(premade, waiting, &err) < 0)
			log_warning(LOG_WHAT("a merge is not made beforehand"), LOG_TEXT("name", waiting->name), LOG_ERR(&err));
		err_clear(&err);
		forget(premade, waiting);
	}
}

struct premade *premade_new(struct loop *loop, const struct program *program, struct trash *trash, struct err *err)
{
	const char *folder = program_state(program, "slave/premade", err);

	if (!folder || trash_take(trash, folder, err) < 0 || file_make_folder(folder, 0700, err) < 0)
		return NULL;
	struct premade *premade = calloc(1, sizeof *premade);
	if (!premade || !(premade->folder = strdup(folder)))
		abort();
	premade->loop = loop;
	premade->program = program;
	premade->trash = trash;
	TAILQ_INIT(&premade->waiting);
	return premade;
}

void premade_free(struct premade *premade)
{
	if (!premade)
		return;
	loop_cancel(premade->child);
	while (!TAILQ_EMPTY(&premade->waiting))
		forget(premade, TAILQ_FIRST(&premade->waiting));
	free(premade->folder);
	free(premade);
}

static struct waiting *find_waiting(struct premade *premade, const char *name)
{
	struct waiting *waiting;

	TAILQ_FOREACH(waiting, &premade->waiting, link)
		if (strcmp(waiting->name, name) == 0)
			return waiting;
	return NULL;
}

static bool is_there(struct premade *premade, const char *name)
{
	struct arena *arena = arena_new();
	bool there = strcmp(premade->making, name) == 0 || find_waiting(premade, name) ||
		access(arena_printf(arena, "%s/%s", premade->folder, name), F_OK) == 0;

	arena_free(arena);
	return there;
}

int premade_ask(struct premade *premade, const struct spec *spec, const char *text, struct err *err)
{
	char name[NAME_SIZE];

	if (maximum_of(premade) == 0)
		return err_set(err, ERR_REFUSED, "premade.maximum is 0 here: no merge is made beforehand");
	name_of(spec, name);
	drop_past(premade, name);
	if (is_there(premade, name))
		return 0;
	struct waiting *waiting = calloc(1, sizeof *waiting);
	if (!waiting || !(waiting->text = strdup(text)))
		abort();
	memcpy(waiting->name, name, sizeof name);
	TAILQ_INSERT_TAIL(&premade->waiting, waiting, link);
	if (++premade->count > PREMADE_WAITING)
		forget(premade, TAILQ_FIRST(&premade->waiting));
	begin(premade);
	return 0;
}

void premade_yield(struct premade *premade, const struct spec *spec)
{
	char name[NAME_SIZE];

	name_of(spec, name);
	drop_past(premade, name);
	struct waiting *waiting = find_waiting(premade, name);
	if (waiting)
		forget(premade, waiting);
}

void premade_await(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	while (fd >= 0 && flock(fd, LOCK_SH) < 0 && errno == EINTR)
		continue;
	if (fd >= 0)
		close(fd);
}

/* What is left when the tree is taken: nothing that anybody needs; a file that stays goes with the next sweep. */
static void remove_rest(struct arena *arena, const char *path)
{
	static const char *const files[] = {"made.json", "spec.json", "log"};

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		unlink(arena_printf(arena, "%s/%s", path, files[i]));
	rmdir(path);
}

/* 1: *made is of a finished one, as the build wants it. */
static int read_made(const struct premade_wish *wish, const char *path, struct ending *made, struct arena *arena)
{
	const char *wanted = wish->spec->trees[0].merges[0].commit;
	struct err absent = {0};
	size_t length = 0;

	const char *text = file_read(arena, arena_printf(arena, "%s/made.json", path), PREMADE_TEXT, &length, &absent);
	if (!text || prepared_read(arena, text, length, made, &absent) < 0)
		return 0;
	return made->outcome == OUTCOME_SUCCESS && made->merge && made->tree && (!wanted || strcmp(wanted, made->merge) == 0);
}

int premade_take(const struct premade_wish *wish, struct ending *ending, struct arena *arena, struct err *err)
{
	const char *folder = program_state(wish->program, "slave/premade", err);
	struct ending made = {0};
	char name[NAME_SIZE];

	if (!folder)
		return -1;
	name_of(wish->spec, name);
	const char *path = arena_printf(arena, "%s/%s", folder, name);
	if (wish->wait)
		premade_await(arena_printf(arena, "%s" MAKING, path));
	if (!read_made(wish, path, &made, arena))
		return 0;
	if (rename(arena_printf(arena, "%s/layer", path), wish->layer) < 0)
		return errno == ENOENT ? 0 : err_set_errno(err, errno, "take %s/layer", path);
	CRASH_POINT("premade.taken");
	remove_rest(arena, path);
	ending->outcome = OUTCOME_SUCCESS;
	ending->merge = made.merge;
	ending->tree = made.tree;
	return 1;
}

int premade_verb(const struct program *program, const char *name, premade_make_fn *make)
{
	struct err err = {0};
	const char *folder = is_name(name) ? program_state(program, "slave/premade", &err) : NULL;

	if (!folder)
		return outcome_exit(OUTCOME_USAGE);
	const char *path = arena_printf(program->arena, "%s/%s", folder, name);
	const char *making = arena_printf(program->arena, "%s" MAKING, path);
	int lock = open(making, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0 || setpriority(PRIO_PROCESS, 0, PREMADE_NICE) < 0)
		return outcome_exit(OUTCOME_INFRASTRUCTURE);
	int status = make(program, making);
	CRASH_POINT("premade.made");
	if (status == 0 && rename(making, path) < 0)
		status = outcome_exit(OUTCOME_INFRASTRUCTURE);
	CRASH_POINT("premade.named");
	return status; /* the lock ends with the process */
}
