/*
 * What a statement costs does not grow with what is stored: each is run over 1,000 and over 100,000 rows of everything, and the steps
 * of SQLite's machine are compared. Those that are meant to walk are named, so that a new statement belongs to one or the other.
 */
#include "store/store.h"

#include <sqlite3.h>

#include "tests/tap.h"
#include "tests/tmp.h"

enum { FEW = 1000, MANY = 100000, SIZES = 2, VALUES = 12, NOW = 1000000, LATER = 2000000 };

/*
 * Everything ?1 times. Items of "main" are to be started at once, those of "later" in an hour. One lane of "slow" has all its calls
 * behind one under way; each call of "many" has a lane; those of "late" are not due.
 */
static const char *const fill[] = {
	"CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) SELECT i FROM n",
	"INSERT INTO deliveries (dialect, account, kind, key, heard, stored, body) SELECT 'git', 'git', 'push', i, i, i, x'7b7d' FROM n",
	"INSERT INTO deliveries (id, dialect, account, kind, key, heard, stored, body) VALUES (-1, '', '', '', '', 1, 1, x'')",
	"INSERT INTO proposals (project, name, url, target, target_tip, head, state, dialect, reply, read, delivery, version)"
	" SELECT p, p || i, '', 'main', '', i, 'open', 'git', '{}', 1, i, 'v' FROM n, (SELECT 'main' AS p UNION SELECT 'later')",
	"INSERT INTO targets SELECT 'main', i, '', 1 FROM n",
	"INSERT INTO items (proposal, project, target, source, approved, state, since, read, queued, due, builds, troubles, delivery, why)"
	" SELECT id, 'p', project, 's', 1, 'queued', 1, 1, 1, (project = 'later') * 2000000, 0, 0, delivery, '' FROM proposals",
	"INSERT INTO proposals SELECT 0, 'new', '', '', '', '', '', 'open', 'git', '{}', 1, 1, ''",
	"INSERT INTO builds (build, item, attempt, state, spec, asked) SELECT i, i, 1, 'running', '', 1 FROM n",
	"INSERT INTO landings (build, item, state, asked) SELECT i, i, 'asked', 1 FROM n",
	"INSERT INTO reports (item, kind, body, merged, marker, state, made) SELECT i, 'landed', '', '', '', 'owed', 1 FROM n",
	"INSERT INTO decisions (time, stage, delivery, proposal, text) SELECT 1, 'gate', i, i, '' FROM n",
	"INSERT INTO refusals SELECT 'a' || i, 401, '', 1, 1 FROM n",
#define CALLS(kind, lane, state, due) \
	"INSERT INTO calls (kind, lane, key, request, stage, state, attempts, due, made)" \
	" SELECT '" kind "', " lane ", i, '', 0, " state ", 0, " due ", 1 FROM n"
	CALLS("slow", "'slow'", "CASE i WHEN 1 THEN 'doing' ELSE 'intent' END", "0"),
	CALLS("many", "'many' || i", "'intent'", "0"),
	CALLS("late", "'late'", "'intent'", "2000000"),
	CALLS("done", "'done'", "'answered'", "0"),
#define INBOX(table) "INSERT INTO " table " (kind, ref, due, attempts) SELECT 'x', i, (i > 1) * 2000000, 0 FROM n"
	INBOX("proposal_inbox"),
	INBOX("gate_inbox"),
	INBOX("build_inbox"),
	INBOX("landing_inbox"),
	INBOX("report_inbox"),
};

#define T(words) {.kind = STORE_KIND_TEXT, .bytes = (words)}
#define I(number) {.kind = STORE_KIND_INTEGER, .integer = (number)}
#define B(data, size) {.kind = STORE_KIND_BLOB, .bytes = (data), .length = (size)}
#define ROW(name, ...) {.id = STORE_##name, .values = {__VA_ARGS__}}
#define PLAIN(name) {.id = STORE_##name}
#define INBOX_ROWS(name) \
	ROW(name##_INBOX_ADD, T("x"), I(1), I(0)), ROW(name##_INBOX_NEXT, I(NOW)), ROW(name##_INBOX_DELETE, I(FEW)), \
		ROW(name##_INBOX_LATER, I(FEW), I(LATER)), PLAIN(name##_INBOX_DUE)

static const struct hot {
	enum store_id id;
	struct store_value values[VALUES]; /* the first that is NULL is none */
} hot[] = {
	INBOX_ROWS(PROPOSAL),
	INBOX_ROWS(GATE),
	INBOX_ROWS(BUILD),
	INBOX_ROWS(LANDING),
	INBOX_ROWS(REPORT),
	ROW(DELIVERY_ADD, T("git"), T("git"), T("push"), T("k"), I(1), I(2), B("{}", 2)),
	ROW(DELIVERY_GET, I(FEW)),
	ROW(DELIVERY_TIMES, I(FEW)),
	PLAIN(DELIVERY_LAST),
	ROW(REFUSAL_COUNT, T("git"), I(401), T("r"), I(1), I(1)),
	ROW(DECISION_ADD, I(1), T("gate"), I(FEW), I(FEW), T("r")),
	ROW(DECISION_LAST, I(FEW), T("gate")),
	ROW(DECISIONS_PROPOSAL, I(FEW), I(100)),
	ROW(DECISIONS_DELIVERY, I(FEW)),
	ROW(CALL_ADD, T("slow"), T("slow"), T("new"), T(""), I(0), I(1), I(1)),
	ROW(CALL_ADD, T("many"), T("new"), T("new"), T(""), I(0), I(1), I(1)),
	ROW(CALL_FIND, T("slow"), T("500")),
	ROW(CALL_WAITING, T("slow"), T("slow")),
	ROW(CALL_NEXT, T("slow"), I(NOW)),
	ROW(CALL_NEXT, T("many"), I(NOW)),
	ROW(CALL_NEXT, T("late"), I(NOW)),
	ROW(CALL_NEXT, T("done"), I(NOW)),
	ROW(CALL_DOING, I(FEW), I(NOW)),
	ROW(CALL_AGAIN, I(1), I(NOW), T("why")),
	ROW(CALL_ANSWERED, I(FEW), I(NOW), T("success"), T("")),
	ROW(CALL_UNWANTED, I(FEW), T("cancelled"), I(NOW)),
	ROW(CALL_FORGET, I(FEW)),
	ROW(CALL_DELETE, I(FEW)),
	ROW(CALL_GET, I(FEW)),
	PLAIN(CALLS_DOING),
	ROW(CALLS_DUE, I(NOW)),
	PLAIN(CALLS_TROUBLE),
	ROW(PROPOSAL_PUT, T("main"), T("main500"), T("u"), T("t"), T("t"), T("h"), T("open"), T("git"), T("{}"), I(1), I(1), T("w")),
	ROW(PROPOSAL_GET, I(FEW)),
	ROW(PROPOSAL_FIND, T("main"), T("main500")),
	ROW(TARGET_PUT, T("main"), T("500"), T("t"), I(2)),
	ROW(TARGET_GET, T("main"), T("500")),
	ROW(ITEM_GET, I(FEW)),
	ROW(ITEM_LIVE, I(FEW)),
	ROW(ITEM_LAST, I(FEW)),
	ROW(ITEM_ACTIVE, T("p"), T("main")),
	ROW(ITEM_RIPE, T("p"), T("main"), I(NOW)),
	ROW(ITEM_RIPE, T("p"), T("later"), I(NOW)),
	ROW(ITEM_NEXT, T("p"), T("main")),
	ROW(ITEM_NEXT, T("p"), T("later")),
	ROW(ITEM_BUILD, I(FEW), I(NOW), T("why")),
	ROW(ITEM_BACK, I(FEW), I(NOW), I(LATER), T("why")),
	ROW(ITEM_RELEASE, I(FEW), I(NOW), I(1), T("why")),
	ROW(ITEM_TROUBLE, I(FEW), T("why")),
	ROW(ITEM_STATE, I(FEW), T("rereading"), I(NOW), T("why")),
	ROW(ITEM_END, I(FEW), T("removed"), I(NOW), T("why")),
	ROW(ITEMS_QUEUE, I(100)),
	ROW(BUILD_ADD, T("b"), I(FEW), I(2), I(NOW)),
	ROW(BUILD_ENDED, I(FEW)),
	ROW(BUILD_GET, I(FEW)),
	ROW(BUILD_FIND, T("500")),
	ROW(BUILD_SPEC, I(FEW), T("{}")),
	ROW(BUILD_RUNNING, I(FEW), I(NOW)),
	ROW(BUILD_DONE, I(FEW), I(NOW), T("success"), T("r"), T("m"), T("{}")),
	ROW(BUILD_OF_ITEM, I(FEW)),
	ROW(BUILDS_OF_ITEM, I(FEW)),
	ROW(BUILDS_RECENT, I(100)),
	ROW(LANDING_ADD, I(FEW), I(FEW), I(NOW)),
	ROW(LANDING_GET, I(FEW)),
	ROW(LANDING_DONE, I(FEW), I(NOW), T("success"), T("r"), T("m"), T("t"), T("a")),
	ROW(LANDING_ENDED, I(FEW)),
	ROW(LANDING_OF_ITEM, I(FEW)),
	ROW(REPORT_ADD, I(FEW), T("landed"), T("b"), T("m"), T("k"), I(NOW)),
	ROW(REPORT_GET, I(FEW)),
	ROW(REPORT_DONE, I(FEW), T("sent"), I(NOW), T("")),
	ROW(REPORT_OF_ITEM, I(FEW)),
	ROW(HISTORY_DECISIONS, I(FEW / 2), I(100)),
	ROW(DECISION_DELETE, I(FEW)),
	ROW(HISTORY_DELIVERIES, I(FEW / 2), I(100)),
	ROW(DELIVERY_EMPTY, I(FEW)),
	ROW(DECISIONS_DELETE, I(FEW)),
	ROW(DELIVERY_DELETE, I(-1)),
	ROW(HISTORY_CALLS, I(FEW / 2), I(100)),
	ROW(ITEM_ADD, I(0), T("p"), T("main"), T("s"), I(1), I(NOW), I(1), I(1), T("why")),
};

/*
 * No table is in them; or they are asked by a person or a poll and give an answer that grows with the rows; or they follow the clock when
 * somebody sets it; or they belong to the start.
 */
static const enum store_id others[] = {STORE_BEGIN, STORE_COMMIT, STORE_ROLLBACK, STORE_SAVEPOINT, STORE_SAVEPOINT_BACK,
	STORE_SAVEPOINT_END, STORE_REFUSALS, STORE_CALL_READING, STORE_PROPOSAL_NAMED, STORE_PROPOSALS_OPEN, STORE_ITEMS_COUNT,
	STORE_PROPOSAL_INBOX_SOONER, STORE_GATE_INBOX_SOONER, STORE_BUILD_INBOX_SOONER, STORE_LANDING_INBOX_SOONER,
	STORE_REPORT_INBOX_SOONER, STORE_CALLS_SOONER, STORE_TARGETS_SOONER, STORE_TARGETS_FORGET, STORE_ITEMS_SOONER};

static bool is_here(enum store_id id)
{
	for (size_t i = 0; i < sizeof hot / sizeof hot[0]; i++)
		if (hot[i].id == id)
			return true;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		if (others[i] == id)
			return true;
	return false;
}

static void all_are_here(void)
{
	int missing = 0;

	for (int id = 0; id < STORE_COUNT; id++)
		if (!is_here((enum store_id)id)) {
			printf("# %s\n", store_name((enum store_id)id));
			missing++;
		}
	ok(missing == 0, "every statement is measured here, or named as one that walks");
}

static void fill_with(const char *path, int rows)
{
	sqlite3 *db;
	int failed = sqlite3_open(path, &db);

	sqlite3_exec(db, "PRAGMA synchronous=OFF; BEGIN", NULL, NULL, NULL);
	for (size_t i = 0; !failed && i < sizeof fill / sizeof fill[0]; i++) {
		sqlite3_stmt *statement = NULL;

		failed = sqlite3_prepare_v2(db, fill[i], -1, &statement, NULL);
		if (!failed && sqlite3_bind_parameter_count(statement))
			failed = sqlite3_bind_int(statement, 1, rows);
		if (!failed)
			failed = sqlite3_step(statement) != SQLITE_DONE;
		sqlite3_finalize(statement);
		if (failed)
			printf("# %s: %s\n", fill[i], sqlite3_errmsg(db));
	}
	ok(!failed && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK, "a store is filled");
	sqlite3_close(db);
}

/* Steps to the end; what it writes is undone. -1: it failed. */
static int64_t steps(struct store *store, const struct hot *row)
{
	struct err err = {.kind = ERR_NONE};
	int stepped = store_plain(store, STORE_BEGIN, &err);
	size_t count = 0;

	while (count < VALUES && row->values[count].kind != STORE_KIND_NULL)
		count++;
	store_steps(store, row->id);
	if (stepped == 0)
		stepped = store_first(store, row->id, row->values, count, &err);
	while (stepped == 1)
		stepped = store_step(store, row->id, &err);
	if (stepped < 0)
		printf("# %s\n", err.text);
	if (store_plain(store, STORE_ROLLBACK, &err) < 0 || stepped < 0)
		return -1;
	return store_steps(store, row->id);
}

static void compare(struct store *const *stores)
{
	for (size_t i = 0; i < sizeof hot / sizeof hot[0]; i++) {
		int64_t few = steps(stores[0], &hot[i]), many = steps(stores[1], &hot[i]);
		char what[128];

		snprintf(what, sizeof what, "%s: %lld steps at %d rows, %lld at %d", store_name(hot[i].id), (long long)few, FEW, (long long)many,
			MANY);
		ok(few > 0 && many > 0 && many <= 2 * few, what);
	}
}

int main(void)
{
	static const int sizes[SIZES] = {FEW, MANY};
	struct store *stores[SIZES];
	struct err err = {.kind = ERR_NONE};

	tmp_make();
	all_are_here();
	for (int i = 0; i < SIZES; i++) {
		char name[16];

		snprintf(name, sizeof name, "%d.db", sizes[i]);
		ok(store_open(&stores[i], tmp_path(name), &err) == 0, "a store");
		fill_with(tmp_path(name), sizes[i]);
	}
	compare(stores);
	for (int i = 0; i < SIZES; i++)
		store_close(stores[i]);
	return tap_done();
}
