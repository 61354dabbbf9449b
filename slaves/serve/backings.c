#include "slaves/serve/backings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/jsonget.h"
#include "forge/outcome.h"
#include "forge/recipe.h"
#include "slaves/worker/worker_client.h"

#define LIST_MAXIMUM ((size_t)16 * 1024 * 1024)
#define LIST_NODES ((size_t)1000000)
#define SHOWN_DIGITS 12
#define INPUTS_MAXIMUM ((size_t)4 * 1024 * 1024)

typedef int action_fn(const struct program *program, const struct backings_call *call, struct worker_client *client, struct err *err);

static int trouble(const struct err *err)
{
	bool wrong = err->kind == ERR_NOT_FOUND || err->kind == ERR_USAGE || err->kind == ERR_CONFIG;

	fprintf(stderr, "byoci-slave backing: %s\n", err->text);
	return outcome_exit(wrong ? OUTCOME_USAGE : OUTCOME_INFRASTRUCTURE);
}

static int build(const struct program *program, const struct backings_call *call, struct worker_client *client, struct err *err)
{
	char digest[WORKER_DIGEST_SIZE];

	(void)program;
	if (worker_client_build_backing(client, call->name, call->refresh, STDERR_FILENO, digest, err) < 0)
		return -1;
	printf("%s\n", digest);
	return 0;
}

static int prune(const struct program *program, const struct backings_call *call, struct worker_client *client, struct err *err)
{
	(void)program;
	(void)call;
	return worker_client_backings(client, WORKER_PRUNE_BACKINGS, STDERR_FILENO, err);
}

int backings_list(struct err *err)
{
	int fd = memfd_create("backings", MFD_CLOEXEC);

	return fd < 0 ? err_set(err, ERR_SYSTEM, "no memory for the list of backings") : fd;
}

json_t *backings_read(struct arena *arena, int fd, struct err *err)
{
	off_t length = lseek(fd, 0, SEEK_END);
	char *text = arena_alloc(arena, length > 0 && (size_t)length < LIST_MAXIMUM ? (size_t)length + 1 : 1);

	if (length > 0 && (size_t)length < LIST_MAXIMUM && pread(fd, text, (size_t)length, 0) == length)
		return jsonget_parse(text, (size_t)length, LIST_NODES, err);
	err_set(err, ERR_INPUT, "byoci-worker: no list of backings");
	return NULL;
}

/* What byoci-worker says; a new reference. */
static json_t *ask(const struct program *program, struct worker_client *client, struct err *err)
{
	int fd = backings_list(err);
	json_t *whole = NULL;

	if (fd < 0)
		return NULL;
	if (worker_client_backings(client, WORKER_LIST_BACKINGS, fd, err) == 0)
		whole = backings_read(program->arena, fd, err);
	close(fd);
	return whole;
}

/* 90000 ms → "1m". */
static const char *duration(const struct program *program, int64_t ms)
{
	static const struct {
		int64_t ms;
		char unit;
	} units[] = {{86400000, 'd'}, {3600000, 'h'}, {60000, 'm'}, {1000, 's'}};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (ms >= 2 * units[i].ms || (i + 1 == sizeof units / sizeof *units))
			return arena_printf(program->arena, "%lld%c", (long long)(ms < 0 ? 0 : ms / units[i].ms), units[i].unit);
	return "";
}

static const char *size(const struct program *program, int64_t bytes)
{
	return arena_printf(program->arena, "%lld.%lldM", (long long)bytes >> 20, (long long)(bytes * 10 >> 20) % 10);
}

static const char *age(const struct program *program, const json_t *row, const char *key)
{
	int64_t then = jsonget_integer_or(row, key, 0);

	return then ? duration(program, clock_wall_ms() - then) : "-";
}

/* How the last building went, in words. */
static const char *outcome(const struct program *program, const json_t *row)
{
	const char *error = jsonget_string_or(row, "error", NULL);
	int64_t failures = jsonget_integer_or(row, "failures", 0);

	if (error && failures)
		return arena_printf(program->arena, "FAILED %lld times, %s ago: %s", (long long)failures, age(program, row, "tried"), error);
	if (error)
		return arena_printf(program->arena, "WRONG: %s", error);
	if (!jsonget_integer_or(row, "tried", 0))
		return "-";
	return arena_printf(program->arena, "well, %s ago", age(program, row, "tried"));
}

/* The part of a generation's name that is not its digest. */
static const char *when(const char *generation)
{
	const char *dot = generation ? strchr(generation, '.') : NULL;

	return dot ? dot + 1 : generation ? "-" : "not built";
}

static void print_row(const struct program *program, const json_t *row)
{
	const char *generation = jsonget_string_or(row, "generation", NULL);

	const char *bytes = generation ? size(program, jsonget_integer_or(row, "bytes", 0)) : "-";

	printf("%-16s %-12.12s %-20s %5s %9s %7lld  %s\n", jsonget_string_or(row, "name", "?"), jsonget_string_or(row, "digest", "-"),
		when(generation), generation ? age(program, row, "made") : "-", bytes, (long long)jsonget_integer_or(row, "users", 0),
		outcome(program, row));
}

static void print_list(const struct program *program, const json_t *whole)
{
	const json_t *row;
	size_t i;

	printf("%-16s %-12s %-20s %5s %9s %7s  %s\n", "BACKING", "DIGEST", "GENERATION", "AGE", "SIZE", "USED BY", "LAST BUILT");
	json_array_foreach(json_object_get(whole, "backings"), i, row)
		print_row(program, row);
	json_array_foreach(json_object_get(whole, "unused"), i, row)
		printf("%-16s %-12.12s %-20s %5s %9s %7lld  no section needs it: byoci-slave backing prune\n", "-",
			jsonget_string_or(row, "name", "?"), when(jsonget_string_or(row, "name", NULL)), "-",
			size(program, jsonget_integer_or(row, "bytes", 0)), (long long)jsonget_integer_or(row, "users", 0));
}

static int list(const struct program *program, const struct backings_call *call, struct worker_client *client, struct err *err)
{
	json_t *whole = ask(program, client, err);
	int status;

	if (!whole)
		return -1;
	if (call->json) {
		json_dumpf(whole, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		print_list(program, whole);
	}
	status = jsonget_integer_or(whole, "failed", 0) ? outcome_exit(OUTCOME_FAILURE) : 0;
	json_decref(whole);
	return status;
}

static json_t *find(json_t *whole, const char *name)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(whole, "backings"), i, row)
		if (strcmp(jsonget_string_or(row, "name", ""), name) == 0)
			return row;
	return NULL;
}

static void print_one(const struct program *program, const json_t *row, const char *inputs)
{
	const json_t *previous = json_object_get(row, "previous");
	int64_t refresh = jsonget_integer_or(row, "refresh", 0);
	const char *generation = jsonget_string_or(row, "generation", NULL), *on = jsonget_string_or(row, "on", NULL);

	printf("backing     %s\ndigest      %s\ngeneration  %s\n", jsonget_string_or(row, "name", "?"), jsonget_string_or(row, "digest", "-"),
		when(generation));
	if (generation)
		printf("made        %s ago, %s, used by %lld\n", age(program, row, "made"), size(program, jsonget_integer_or(row, "bytes", 0)),
			(long long)jsonget_integer_or(row, "users", 0));
	if (on)
		printf("on          %s\n", on);
	if (json_is_object(previous))
		printf("previous    %s, made %s ago, used by %lld\n", when(jsonget_string_or(previous, "generation", NULL)),
			age(program, previous, "made"), (long long)jsonget_integer_or(previous, "users", 0));
	printf("refreshed   %s\nlast built  %s\n\n%s", refresh ? arena_printf(program->arena, "each %s", duration(program, refresh)) : "never",
		outcome(program, row), inputs);
}

static int show(const struct program *program, const struct backings_call *call, struct worker_client *client, struct err *err)
{
	json_t *whole = ask(program, client, err), *row = whole ? find(whole, call->name) : NULL;
	struct err wrong = {0};
	struct buf inputs;
	int status = -1;

	buf_init(&inputs, INPUTS_MAXIMUM);
	if (whole && !row)
		err_set(err, ERR_NOT_FOUND, "no section [backing/%s] in the configuration", call->name);
	if (row) {
		if (recipe_text(program->conf, call->name, &inputs, &wrong) < 0) /* the row says what is wrong */
			buf_clear(&inputs);
		json_object_set_new(row, "inputs", json_string(inputs.data ? inputs.data : ""));
		if (call->json) {
			json_dumpf(row, stdout, JSON_COMPACT);
			putchar('\n');
		} else {
			print_one(program, row, inputs.data ? inputs.data : "");
		}
		status = json_is_string(json_object_get(row, "error")) ? outcome_exit(OUTCOME_FAILURE) : 0;
	}
	buf_release(&inputs);
	json_decref(whole);
	return status;
}

static const struct action {
	const char *name;
	bool needs_name;
	action_fn *run;
} actions[] = {{"build", true, build}, {"list", false, list}, {"show", true, show}, {"prune", false, prune}};

static const struct action *find_action(const struct backings_call *call, struct err *err)
{
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
		if (strcmp(actions[i].name, call->action) != 0)
			continue;
		if (actions[i].needs_name == (call->name != NULL))
			return &actions[i];
		err_set(err, ERR_USAGE, actions[i].needs_name ? "%s: of which? backing %s NAME" : "%s: takes no name", call->action, call->action);
		return NULL;
	}
	err_set(err, ERR_USAGE, "%s: there are build, list, show and prune", call->action);
	return NULL;
}

int backings_verb(const struct program *program, const struct backings_call *call)
{
	struct err err = {0};
	const struct action *action = find_action(call, &err);
	const char *path = action ? program_option(program, "worker.socket", &err) : NULL;
	struct worker_client *client = path ? worker_client_connect(path, &err) : NULL;
	int status = client ? action->run(program, call, client, &err) : -1;

	worker_client_close(client);
	return status < 0 ? trouble(&err) : status;
}
