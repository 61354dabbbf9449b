#include "store/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "forge/text.h"
#include "store/vfs.h"

#define STORE_VERSION 3
#define STORE_APPLICATION 0x62796f63 /* "byoc", SQLite's application_id */
#define STORE_BUSY_MS 5000

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[STORE_COUNT];
};

static const struct {
	const char *name, *sql;
} store_table[STORE_COUNT] = {
#define STORE_ROW(name, sql) [STORE_##name] = {#name, sql},
	STORE_STATEMENTS(STORE_ROW)
#undef STORE_ROW
};

/* ISO C promises 4095 bytes; the compilers that we use take more. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverlength-strings"
static const char store_schema[] =
#include "schema.inc"
	;
/* From the version that is its index to the next. */
static const char *const store_upgrades[STORE_VERSION] = {
	[1] =
#include "upgrade-1.inc"
	,
	[2] =
#include "upgrade-2.inc"
	,
};
#pragma GCC diagnostic pop

const char *store_name(enum store_id id)
{
	return store_table[id].name;
}

const char *store_sql(enum store_id id)
{
	return store_table[id].sql;
}

static int store_error(const struct store *store, int code, struct err *err, const char *what)
{
	bool full = (code & 0xff) == SQLITE_FULL;

	return err_set(err, full ? ERR_FULL : ERR_SYSTEM, "%s: %s (SQLite code %d)", what,
		store && store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(code), code);
}

static int store_execute(struct store *store, const char *sql, const char *what, struct err *err)
{
	int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : store_error(store, code, err, what);
}

static int store_pragma(struct store *store, const char *sql, int64_t *value, struct err *err)
{
	sqlite3_stmt *statement;
	int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);

	if (code != SQLITE_OK)
		return store_error(store, code, err, sql);
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return code == SQLITE_ROW ? 0 : store_error(store, code, err, sql);
}

/* Tables are made, or made over, in one transaction, whose last act is the version's mark. */
static int store_mark(struct store *store, int64_t version, const char *what, struct err *err)
{
	char marks[128];

	snprintf(marks, sizeof(marks), "PRAGMA application_id=%d; PRAGMA user_version=%lld; COMMIT", STORE_APPLICATION, (long long)version);
	return store_execute(store, marks, what, err);
}

static int store_create(struct store *store, struct err *err)
{
	static const char what[] = "making the tables";

	if (store_execute(store, "BEGIN IMMEDIATE", what, err) < 0 || store_execute(store, store_schema, what, err) < 0)
		return -1;
	return store_mark(store, STORE_VERSION, what, err);
}

static int store_upgrade(struct store *store, int64_t version, struct err *err)
{
	static const char what[] = "making the tables over";

	for (int64_t next = version; next < STORE_VERSION; next++)
		if (store_execute(store, "BEGIN IMMEDIATE", what, err) < 0 || store_execute(store, store_upgrades[next], what, err) < 0 ||
			store_mark(store, next + 1, what, err) < 0)
			return -1;
	return 0;
}

static int store_check_version(struct store *store, struct err *err)
{
	int64_t version = 0, application = 0, tables = 0;

	if (store_pragma(store, "PRAGMA user_version", &version, err) < 0
		|| store_pragma(store, "PRAGMA application_id", &application, err) < 0
		|| store_pragma(store, "SELECT count(*) FROM sqlite_schema", &tables, err) < 0)
		return -1;
	if (!tables && !version)
		return store_create(store, err);
	if (application != STORE_APPLICATION)
		return err_set(err, ERR_REFUSED, "not a state of byoci; move it away, or set the option state");
	if (version < 1 || version > STORE_VERSION)
		return err_set(err, ERR_REFUSED,
			"it has version %lld and this byoci reads version %d: run the byoci that made it, or a newer one",
			(long long)version, STORE_VERSION);
	return store_upgrade(store, version, err);
}

static int store_prepare(struct store *store, struct err *err)
{
	for (int i = 0; i < STORE_COUNT; i++) {
		int code = sqlite3_prepare_v3(store->db, store_table[i].sql, -1, SQLITE_PREPARE_PERSISTENT, &store->statements[i], NULL);

		if (code != SQLITE_OK)
			return store_error(store, code, err, store_table[i].name);
	}
	return 0;
}

static int store_settle(struct store *store, struct err *err)
{
	/*
	 * A page takes in a usual hook whole, so that it is written once to the log and once back to the file (an old file keeps its
	 * page size). A larger log is written back less often, and nobody is answered meanwhile: doc/PERFORMANCE.md. What a savepoint
	 * would undo is kept in memory.
	 */
	static const char page[] = "PRAGMA page_size=8192";
	static const char settings[] = "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=6000; PRAGMA temp_store=MEMORY;"
		"PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF";
	int64_t ignored;

	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_timeout(store->db, STORE_BUSY_MS);
	if (store_execute(store, page, "settings", err) < 0 || store_pragma(store, "PRAGMA journal_mode=WAL", &ignored, err) < 0 ||
		store_execute(store, settings, "settings", err) < 0)
		return -1;
	if (store_check_version(store, err) < 0)
		return -1;
	return store_prepare(store, err);
}

/* There is one thread, so SQLite needs no locks in memory. It says so when it began before: then it has them. */
static void store_one_thread(void)
{
	sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int store_open(struct store **store, const char *path, struct err *err)
{
	struct store *made = calloc(1, sizeof(*made));
	mode_t old;
	int code;

	store_one_thread();
	if (!made)
		return err_set(err, ERR_FULL, "%s: out of memory", path);
	old = umask(0077);
	code = sqlite3_open_v2(path, &made->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, vfs_name());
	if (code != SQLITE_OK)
		store_error(made, code, err, "open");
	else
		code = store_settle(made, err) < 0 ? SQLITE_ERROR : SQLITE_OK;
	umask(old);
	if (code == SQLITE_OK) {
		*store = made;
		return 0;
	}
	store_close(made);
	return err_wrap(err, "%s", path);
}

void store_close(struct store *store)
{
	if (!store)
		return;
	for (int i = 0; i < STORE_COUNT; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->db);
	free(store);
}

static int store_bind_one(sqlite3_stmt *statement, int index, const struct store_value *value)
{
	switch (value->kind) {
	case STORE_KIND_NULL:
		return sqlite3_bind_null(statement, index);
	case STORE_KIND_INTEGER:
		return sqlite3_bind_int64(statement, index, value->integer);
	case STORE_KIND_TEXT:
		return sqlite3_bind_text(statement, index, value->bytes, -1, SQLITE_STATIC);
	case STORE_KIND_BLOB:
		return sqlite3_bind_blob64(statement, index, value->bytes ? value->bytes : "", value->length, SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

int store_bind(struct store *store, enum store_id id, const struct store_value *values, size_t count, struct err *err)
{
	sqlite3_stmt *statement = store->statements[id];

	if (sqlite3_stmt_busy(statement))
		return err_set(err, ERR_SYSTEM, "%s: still stepping", store_table[id].name);
	if ((size_t)sqlite3_bind_parameter_count(statement) != count)
		return err_set(err, ERR_SYSTEM, "%s: takes %d values and not %zu", store_table[id].name,
			sqlite3_bind_parameter_count(statement), count);
	for (size_t i = 0; i < count; i++) {
		int code = store_bind_one(statement, (int)i + 1, &values[i]);

		if (code != SQLITE_OK)
			return store_error(store, code, err, store_table[id].name);
	}
	return 0;
}

void store_reset(struct store *store, enum store_id id)
{
	sqlite3_reset(store->statements[id]);
	sqlite3_clear_bindings(store->statements[id]);
}

int store_step(struct store *store, enum store_id id, struct err *err)
{
	int code = sqlite3_step(store->statements[id]);

	if (code == SQLITE_ROW)
		return 1;
	if (code != SQLITE_DONE)
		store_error(store, code, err, store_table[id].name);
	store_reset(store, id);
	return code == SQLITE_DONE ? 0 : -1;
}

int store_do(struct store *store, enum store_id id, const struct store_value *values, size_t count, struct err *err)
{
	int stepped;

	if (store_bind(store, id, values, count, err) < 0)
		return -1;
	stepped = store_step(store, id, err);
	if (stepped == 1)
		store_reset(store, id);
	return stepped < 0 ? -1 : 0;
}

int store_first(struct store *store, enum store_id id, const struct store_value *values, size_t count, struct err *err)
{
	return store_bind(store, id, values, count, err) < 0 ? -1 : store_step(store, id, err);
}

int store_plain(struct store *store, enum store_id id, struct err *err)
{
	return store_do(store, id, NULL, 0, err);
}

int64_t store_integer(struct store *store, enum store_id id, int column)
{
	return sqlite3_column_int64(store->statements[id], column);
}

char *store_text(struct store *store, enum store_id id, int column, struct arena *arena)
{
	const char *text = (const char *)sqlite3_column_text(store->statements[id], column);

	return text ? text_utf8(arena, text) : NULL;
}

const void *store_blob(struct store *store, enum store_id id, int column, struct arena *arena, size_t *length)
{
	const void *bytes = sqlite3_column_blob(store->statements[id], column);

	*length = (size_t)sqlite3_column_bytes(store->statements[id], column);
	return arena_memdup(arena, bytes ? bytes : "", *length);
}

bool store_null(struct store *store, enum store_id id, int column)
{
	return sqlite3_column_type(store->statements[id], column) == SQLITE_NULL;
}

int64_t store_last_id(struct store *store)
{
	return sqlite3_last_insert_rowid(store->db);
}

int64_t store_changed(struct store *store)
{
	return sqlite3_changes64(store->db);
}

int64_t store_steps(struct store *store, enum store_id id)
{
	return sqlite3_stmt_status(store->statements[id], SQLITE_STMTSTATUS_VM_STEP, 1);
}

bool store_in_transaction(const struct store *store)
{
	return !sqlite3_get_autocommit(store->db);
}
