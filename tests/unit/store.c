/* Every statement fits the schema, drift is named, and what is written is there again. */
#include "store/store.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "base/file.h"
#include "tests/tap.h"
#include "tests/tmp.h"

/* What store_open prepares, but each alone, so that the one that does not fit is named. */
static void prepare_each(void)
{
	struct err err = {.kind = ERR_NONE};
	struct arena *arena = arena_new();
	char *schema = file_read(arena, "brain/store/schema.sql", 1 << 20, NULL, &err);
	sqlite3 *db;
	int bad = 0;

	ok(schema != NULL, "the schema is there");
	sqlite3_open(":memory:", &db);
	ok(schema && sqlite3_exec(db, schema, NULL, NULL, NULL) == SQLITE_OK, "and is SQL");
	for (int i = 0; i < STORE_COUNT; i++) {
		sqlite3_stmt *statement = NULL;

		if (sqlite3_prepare_v2(db, store_sql((enum store_id)i), -1, &statement, NULL) != SQLITE_OK) {
			printf("# %s: %s\n", store_name((enum store_id)i), sqlite3_errmsg(db));
			bad++;
		}
		sqlite3_finalize(statement);
	}
	ok(bad == 0, "every statement fits it");
	sqlite3_exec(db, "ALTER TABLE items RENAME COLUMN troubles TO worries; DROP TABLE refusals", NULL, NULL, NULL);
	sqlite3_stmt *statement = NULL;
	ok(sqlite3_prepare_v2(db, store_sql(STORE_REFUSALS), -1, &statement, NULL) != SQLITE_OK, "a table that is gone is noticed");
	sqlite3_finalize(statement);
	sqlite3_close(db);
	arena_free(arena);
}

/* A state file whose table has drifted does not open, and the statement is named. */
static void drift(void)
{
	const char *path = tmp_path("drift.db");
	struct store *store = NULL;
	struct err err = {.kind = ERR_NONE};
	sqlite3 *db;

	ok(store_open(&store, path, &err) == 0, "a new state is made");
	store_close(store);
	sqlite3_open(path, &db);
	ok(sqlite3_exec(db, "ALTER TABLE deliveries RENAME COLUMN body TO bytes", NULL, NULL, NULL) == SQLITE_OK,
		"a column is renamed behind its back");
	sqlite3_close(db);
	ok(store_open(&store, path, &err) < 0, "then it does not open");
	ok(strstr(err.text, "DELIVERY_ADD") && strstr(err.text, "body"), "and the statement and the column are named");
	printf("# %s\n", err.text);
}

static void others(void)
{
	struct store *store = NULL;
	struct err err = {.kind = ERR_NONE};
	const char *path = tmp_path("other.db");
	sqlite3 *db;

	sqlite3_open(path, &db);
	sqlite3_exec(db, "CREATE TABLE mine (x)", NULL, NULL, NULL);
	sqlite3_close(db);
	ok(store_open(&store, path, &err) < 0 && err.kind == ERR_REFUSED, "another program's file is refused");
	path = tmp_path("newer.db");
	err_clear(&err);
	ok(store_open(&store, path, &err) == 0, "ours");
	store_close(store);
	sqlite3_open(path, &db);
	sqlite3_exec(db, "PRAGMA user_version=99", NULL, NULL, NULL);
	sqlite3_close(db);
	ok(store_open(&store, path, &err) < 0 && err.kind == ERR_REFUSED && strstr(err.text, "version 99"),
		"of a newer version: refused");
	err_clear(&err);
	ok(store_open(&store, tmp_path("no/such/folder.db"), &err) < 0, "no folder: an error");
	tmp_text("rubbish.db", "this is no database, it is far too short a text", 0600);
	ok(store_open(&store, tmp_path("rubbish.db"), &err) < 0, "rubbish: an error");
}

/* Everything of the schema, in words. */
static char *shape(struct arena *arena, const char *path)
{
	char *all = arena_strdup(arena, "");
	sqlite3_stmt *statement = NULL;
	sqlite3 *db;

	sqlite3_open(path, &db);
	sqlite3_prepare_v2(db, "SELECT name || ': ' || coalesce(sql, '') FROM sqlite_schema ORDER BY name", -1, &statement, NULL);
	while (sqlite3_step(statement) == SQLITE_ROW)
		all = arena_printf(arena, "%s\n%s", all, (const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return all;
}

/* As version 1 was. */
static const char version_1[] =
	"DROP TABLE lanes; DROP TRIGGER calls_added; DROP TRIGGER calls_changed; DROP TRIGGER calls_deleted;"
	"DROP INDEX proposals_delivery; DROP INDEX items_delivery;"
	"DROP INDEX calls_waiting; DROP INDEX calls_trouble; DROP INDEX items_queue; DROP INDEX items_order;"
	"CREATE INDEX calls_ready ON calls (kind, due, id) WHERE state = 'intent';"
	"CREATE INDEX calls_waiting ON calls (lane, kind) WHERE state = 'intent';"
	"CREATE INDEX items_queue ON items (project, target, id) WHERE state = 'queued';"
	"INSERT INTO calls (kind, lane, key, request, stage, state, attempts, due, made) VALUES ('k', 'l', 'second', '', 0, 'intent', 0, 9, 1),"
	" ('k', 'l', 'first', '', 0, 'intent', 0, 5, 1), ('k', 'm', 'under way', '', 0, 'doing', 1, 5, 1);"
	"PRAGMA user_version=1";

static void upgrade(void)
{
	struct arena *arena = arena_new();
	struct store *store = NULL;
	struct err err = {.kind = ERR_NONE};
	const char *path = tmp_path("upgrade.db");
	char *wanted;
	sqlite3 *db;

	ok(store_open(&store, path, &err) == 0, "a state of today");
	store_close(store);
	wanted = shape(arena, path);
	sqlite3_open(path, &db);
	ok(sqlite3_exec(db, version_1, NULL, NULL, NULL) == SQLITE_OK, "is made one of version 1");
	sqlite3_close(db);
	ok(store_open(&store, path, &err) == 0, "and opens all the same");
	ok(store_one(store, STORE_CALL_NEXT, &err, STORE_TEXT("k"), STORE_INTEGER(10)) == 1, "its calls are found");
	is(store_text(store, STORE_CALL_NEXT, 2, arena), "first", "in their order");
	store_close(store);
	is(shape(arena, path), wanted, "and it is as a new one");
	arena_free(arena);
}

static void rows(void)
{
	struct store *store = NULL;
	struct err err = {.kind = ERR_NONE};
	struct arena *arena = arena_new();
	static const char body[] = "a\0b";
	size_t length = 0;
	const char *bytes;
	struct stat status;

	ok(store_open(&store, tmp_path("rows.db"), &err) == 0, "opened");
	ok(stat(tmp_path("rows.db"), &status) == 0 && (status.st_mode & 0777) == 0600, "and private");
	ok(store_plain(store, STORE_BEGIN, &err) == 0 && store_in_transaction(store), "a transaction");
	ok(store_run(store, STORE_DELIVERY_ADD, &err, STORE_TEXT("git"), STORE_TEXT("git"), STORE_TEXT("push"), STORE_TEXT(""),
		   STORE_INTEGER(1), STORE_INTEGER(2), STORE_BLOB(body, 3)) == 0,
		"a delivery");
	ok(store_last_id(store) == 1, "gets its id");
	ok(store_plain(store, STORE_SAVEPOINT, &err) == 0, "a savepoint");
	ok(store_run(store, STORE_DELIVERY_ADD, &err, STORE_TEXT("git"), STORE_TEXT("git"), STORE_TEXT("push"), STORE_TEXT(""),
		   STORE_INTEGER(1), STORE_INTEGER(2), STORE_BLOB(NULL, 0)) == 0,
		"another delivery");
	ok(store_plain(store, STORE_SAVEPOINT_BACK, &err) == 0 && store_plain(store, STORE_SAVEPOINT_END, &err) == 0, "is undone");
	ok(store_plain(store, STORE_COMMIT, &err) == 0 && !store_in_transaction(store), "committed");
	store_close(store);
	ok(store_open(&store, tmp_path("rows.db"), &err) == 0, "opened again");
	ok(store_one(store, STORE_DELIVERY_GET, &err, STORE_INTEGER(1)) == 1, "it is there");
	bytes = store_blob(store, STORE_DELIVERY_GET, 6, arena, &length);
	ok(length == 3 && memcmp(bytes, body, 3) == 0, "every byte of it");
	ok(store_one(store, STORE_DELIVERY_GET, &err, STORE_INTEGER(1)) < 0, "a statement that is still stepping is refused");
	store_reset(store, STORE_DELIVERY_GET);
	ok(store_one(store, STORE_DELIVERY_GET, &err, STORE_INTEGER(2)) == 0, "what was undone is not");
	ok(store_run(store, STORE_CALL_DELETE, &err, STORE_INTEGER(1), STORE_INTEGER(2)) < 0 && strstr(err.text, "takes 1 values"),
		"too many values are refused");
	ok(store_run(store, STORE_ITEM_ADD, &err, STORE_INTEGER(99), STORE_TEXT("p"), STORE_TEXT("t"), STORE_TEXT("s"),
		   STORE_INTEGER(0), STORE_INTEGER(0), STORE_INTEGER(0), STORE_NULL, STORE_TEXT("")) < 0,
		"an item of no proposal is refused");
	ok(store_run(store, STORE_REFUSAL_COUNT, &err, STORE_TEXT("git"), STORE_INTEGER(401), STORE_TEXT("cut in a character \xc3"),
		   STORE_INTEGER(1), STORE_INTEGER(1)) == 0 &&
			store_step(store, STORE_REFUSALS, &err) == 1,
		"a text that was cut in a character");
	is(store_text(store, STORE_REFUSALS, 2, arena), "cut in a character ?", "is valid UTF-8 all the same");
	store_reset(store, STORE_REFUSALS);
	store_close(store);
	store_close(NULL);
	arena_free(arena);
}

int main(void)
{
	tmp_make();
	prepare_each();
	drift();
	others();
	upgrade();
	rows();
	return tap_done();
}
