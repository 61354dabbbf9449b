#include "calls/history.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum {
	ROWS = 40,                    /* of a table, or files, looked at in one turn */
	BYTES = 4 * 1024 * 1024,      /* of bodies that go in one turn */
	PAUSE_MS = 50,                /* between two of these turns */
	ROUND_MS = 3600 * 1000,       /* between two looks at all of it */
	ROUNDS_ANEW = 24,             /* rows that were kept are looked at again after so many */
};

enum stays { NOTHING, ROW, ALL };

/* A row of a table in the order of its ids, which is that of its times. */
struct row {
	int64_t id, time, bytes;
	enum stays stays; /* whatever its age */
};

/* Statements that take an id; STORE_COUNT: none. */
struct table {
	const char *what;
	enum store_id list;    /* ?1: after this id, ?2: so many; its columns are a struct row's */
	enum store_id gone[2]; /* of which NOTHING stays */
	enum store_id empty;   /* of which the ROW stays */
};

/* Messages go with the reasons about them: a message without any is still to be read, whatever its age. */
static const struct table tables[] = {
	{"messages", STORE_HISTORY_DELIVERIES, {STORE_DECISIONS_DELETE, STORE_DELIVERY_DELETE}, STORE_DELIVERY_EMPTY},
	{"reasons", STORE_HISTORY_DECISIONS, {STORE_DECISION_DELETE, STORE_COUNT}, STORE_COUNT},
	{"calls", STORE_HISTORY_CALLS, {STORE_CALL_DELETE, STORE_COUNT}, STORE_COUNT},
};
enum { TABLES = sizeof tables / sizeof tables[0], LOGS = TABLES };

struct history {
	struct brain *brain;
	struct loop_source *timer;
	size_t turn; /* which table is looked at; LOGS: the folder of logs */
	int64_t after[TABLES];
	unsigned rounds;
	int64_t removed;
	DIR *logs;
};

/* 0: what is older goes; -1: all stays. */
static int oldest(const struct history *history, const char *option, int64_t *before)
{
	struct err err = {.kind = ERR_NONE};
	int64_t keep_ms = 0;

	if (conf_integer(history->brain->conf, NULL, option, &keep_ms, &err) < 0) {
		log_error(LOG_WHAT("what is past stays"), LOG_ERR(&err));
		return -1;
	}
	*before = clock_wall_ms() - keep_ms;
	return keep_ms > 0 ? 0 : -1;
}

static int look(struct history *history, const struct table *table, struct row rows[static ROWS], struct err *err)
{
	struct store *store = history->brain->store;
	int more, count = 0;

	if (store_query(store, table->list, err, STORE_INTEGER(history->after[history->turn]), STORE_INTEGER(ROWS)) < 0)
		return -1;
	while ((more = store_step(store, table->list, err)) == 1 && count < ROWS)
		rows[count++] = (struct row){
			.id = store_integer(store, table->list, 0),
			.time = store_integer(store, table->list, 1),
			.stays = (enum stays)store_integer(store, table->list, 2),
			.bytes = store_integer(store, table->list, 3),
		};
	if (more == 1)
		store_reset(store, table->list);
	return more < 0 ? -1 : count;
}

static int run(struct history *history, enum store_id id, const struct row *row, struct err *err)
{
	return id == STORE_COUNT ? 0 : store_run(history->brain->store, id, err, STORE_INTEGER(row->id));
}

static int end_one(struct history *history, const struct table *table, const struct row *row, struct err *err)
{
	if (row->stays == ALL || (row->stays == ROW && (row->bytes == 0 || table->empty == STORE_COUNT)))
		return 0;
	history->removed++;
	if (row->stays == ROW)
		return run(history, table->empty, row, err);
	return run(history, table->gone[0], row, err) < 0 ? -1 : run(history, table->gone[1], row, err);
}

/* 1: there may be more. */
static int end_some(struct history *history, const struct table *table, int64_t before, struct err *err)
{
	struct row rows[ROWS];
	int64_t bytes = 0;
	int count = look(history, table, rows, err);

	if (count < 0 || (count && brain_begin(history->brain, err) < 0))
		return -1;
	for (int i = 0; i < count; i++) {
		if (rows[i].time >= before)
			return 0;
		if (end_one(history, table, &rows[i], err) < 0)
			return -1;
		history->after[history->turn] = rows[i].id;
		bytes += rows[i].bytes;
		if (bytes > BYTES)
			return 1;
	}
	return count == ROWS;
}

static bool is_running(struct store *store, const char *build)
{
	struct err err = {.kind = ERR_NONE};
	struct arena *arena = arena_new();
	int found = store_one(store, STORE_BUILD_FIND, &err, STORE_TEXT(build));
	bool running = found < 0;

	if (found == 1) {
		running = strcmp(store_text(store, STORE_BUILD_FIND, 4, arena), "done") != 0;
		store_reset(store, STORE_BUILD_FIND);
	}
	arena_free(arena);
	return running;
}

static int end_log(struct history *history, const char *name, int64_t before)
{
	const char *tail = strrchr(name, '.');
	char build[64];
	struct stat st;

	if (!tail || strcmp(tail, ".log") != 0 || (size_t)(tail - name) >= sizeof build ||
		fstatat(dirfd(history->logs), name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
		(int64_t)st.st_mtime * 1000 >= before)
		return 0;
	snprintf(build, sizeof build, "%.*s", (int)(tail - name), name);
	return !is_running(history->brain->store, build) && unlinkat(dirfd(history->logs), name, 0) == 0;
}

static int end_logs(struct history *history, int64_t before)
{
	const struct dirent *entry = NULL;

	if (!history->logs)
		history->logs = opendir(history->brain->logs);
	for (int i = 0; history->logs && i < ROWS && (entry = readdir(history->logs)); i++)
		history->removed += end_log(history, entry->d_name, before);
	if (entry)
		return 1;
	if (history->logs)
		closedir(history->logs);
	history->logs = NULL;
	return 0;
}

/* 1: there may be more of that kind. */
static int end_kind(struct history *history, struct err *err)
{
	int64_t before;

	if (oldest(history, history->turn == LOGS ? "logs.keep" : "history.keep", &before) < 0)
		return 0;
	return history->turn == LOGS ? end_logs(history, before) : end_some(history, &tables[history->turn], before, err);
}

static void end_round(struct history *history)
{
	if (history->removed)
		log_info(LOG_WHAT("what is past is removed"), LOG_NUMBER("rows_and_logs", history->removed));
	history->removed = 0;
	history->turn = 0;
	if (++history->rounds % ROUNDS_ANEW == 0)
		memset(history->after, 0, sizeof history->after);
}

static void on_time(void *cookie)
{
	struct history *history = cookie;
	struct err err = {.kind = ERR_NONE};
	int more = end_kind(history, &err);
	int64_t pause_ms = PAUSE_MS;

	if (more < 0) {
		log_error(LOG_WHAT("what is past stays"), LOG_TEXT("of", tables[history->turn].what), LOG_ERR(&err));
		brain_spoil(history->brain);
		memset(history->after, 0, sizeof history->after); /* what was undone is still there */
	}
	if (more <= 0)
		history->turn++;
	if (history->turn > LOGS) {
		end_round(history);
		pause_ms = ROUND_MS;
	}
	history->timer = loop_after(history->brain->loop, pause_ms, on_time, history);
}

struct history *history_new(struct brain *brain)
{
	struct history *history = calloc(1, sizeof *history);

	if (!history)
		err_fatal("out of memory");
	history->brain = brain;
	history->timer = loop_after(brain->loop, PAUSE_MS, on_time, history);
	return history;
}

void history_free(struct history *history)
{
	if (!history)
		return;
	loop_cancel(history->timer);
	if (history->logs)
		closedir(history->logs);
	free(history);
}
