/*
 * Gathered writes lose nothing: what a COMMIT wrote is in the file and synced when it returns, in few writes; what is not written yet is
 * read all the same; and what a full disk did not take is not there afterwards.
 */
#include "store/vfs.h"

#include <sqlite3.h>

#include "store/store.h"
#include "tests/tap.h"
#include "tests/tmp.h"

enum { BODY = 7168, BATCH = 32, SPILL = 600 };

/* SQLite's own files, with a look at what is done to the log. */
static struct {
	sqlite3_vfs vfs;
	sqlite3_io_methods methods;
	const sqlite3_io_methods *real;
	int writes, syncs;
	bool unsynced; /* written, and not synced since */
	bool full;     /* nothing can be written */
} spy;

static int on_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 at)
{
	if (spy.full)
		return SQLITE_FULL;
	spy.writes++;
	spy.unsynced = true;
	return spy.real->xWrite(file, bytes, length, at);
}

static int on_sync(sqlite3_file *file, int flags)
{
	spy.syncs++;
	spy.unsynced = false;
	return spy.real->xSync(file, flags);
}

static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *taken)
{
	sqlite3_vfs *real = vfs->pAppData;
	int code = real->xOpen(real, name, file, flags, taken);

	if (code != SQLITE_OK || !(flags & SQLITE_OPEN_WAL))
		return code;
	spy.real = file->pMethods;
	spy.methods = *spy.real;
	spy.methods.xWrite = on_write;
	spy.methods.xSync = on_sync;
	file->pMethods = &spy.methods;
	return code;
}

static void spy_on(void)
{
	sqlite3_vfs *real = sqlite3_vfs_find(NULL);

	spy.vfs = *real;
	spy.vfs.pNext = NULL;
	spy.vfs.zName = "spy";
	spy.vfs.pAppData = real;
	spy.vfs.xOpen = on_open;
	sqlite3_vfs_register(&spy.vfs, 1);
}

static int add(struct store *store, int count, struct err *err)
{
	static char body[BODY];

	for (int i = 0; i < count; i++)
		if (store_run(store, STORE_DELIVERY_ADD, err, STORE_TEXT("git"), STORE_TEXT("git"), STORE_TEXT("push"), STORE_TEXT(""),
			STORE_INTEGER(1), STORE_INTEGER(2), STORE_BLOB(body, sizeof body)) < 0)
			return -1;
	return 0;
}

static int64_t last(struct store *store)
{
	struct err err = {.kind = ERR_NONE};
	int64_t id = -1;

	if (store_first(store, STORE_DELIVERY_LAST, NULL, 0, &err) == 1)
		id = store_integer(store, STORE_DELIVERY_LAST, 0);
	store_reset(store, STORE_DELIVERY_LAST);
	return id;
}

/* By somebody else, as SQLite is. */
static int seen(const char *path, const char *sql)
{
	sqlite3_stmt *statement = NULL;
	sqlite3 *db;
	int count = -1;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, "unix") == SQLITE_OK &&
		sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
		count = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return count;
}

static const char all[] = "SELECT count(*) FROM deliveries";
static const char sound[] = "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'";

static void commit(struct store *store, const char *path)
{
	struct err err = {.kind = ERR_NONE};

	spy.writes = spy.syncs = 0;
	ok(store_plain(store, STORE_BEGIN, &err) == 0 && add(store, BATCH, &err) == 0, "a batch of deliveries");
	ok(spy.writes == 0 && seen(path, all) == 0, "nobody sees it yet");
	ok(store_plain(store, STORE_COMMIT, &err) == 0 && !spy.unsynced && spy.syncs == 1, "its COMMIT returns when all is on the disk");
	ok(spy.writes <= 2 + BATCH * 8192 / VFS_GATHER, "in few writes");
	ok(seen(path, all) == BATCH, "and everybody sees it");
}

/* More than SQLite keeps in memory: pages are read back from the log before they are committed. */
static void spill(struct store *store, const char *path)
{
	struct err err = {.kind = ERR_NONE};

	ok(store_plain(store, STORE_BEGIN, &err) == 0 && add(store, SPILL, &err) == 0 && spy.writes > 0, "a large transaction");
	ok(last(store) == BATCH + SPILL, "reads what it wrote");
	ok(store_plain(store, STORE_ROLLBACK, &err) == 0 && last(store) == BATCH, "and is undone");
	ok(store_plain(store, STORE_BEGIN, &err) == 0 && add(store, SPILL, &err) == 0 && store_plain(store, STORE_COMMIT, &err) == 0,
		"another");
	ok(seen(path, all) == BATCH + SPILL && seen(path, sound) == 1, "is kept");
}

static void full(struct store *store, const char *path)
{
	struct err err = {.kind = ERR_NONE}, ignored;

	spy.full = true;
	ok(store_plain(store, STORE_BEGIN, &err) == 0 && add(store, BATCH, &err) == 0, "a batch for a full disk");
	ok(store_plain(store, STORE_COMMIT, &err) < 0 && err.kind == ERR_FULL, "is not kept");
	if (store_in_transaction(store))
		store_plain(store, STORE_ROLLBACK, &ignored);
	ok(last(store) == BATCH + SPILL && seen(path, all) == BATCH + SPILL, "nobody sees any of it");
	spy.full = false;
	ok(store_plain(store, STORE_BEGIN, &err) == 0 && add(store, 1, &err) == 0 && store_plain(store, STORE_COMMIT, &err) == 0,
		"when there is room, what follows is kept");
	ok(seen(path, all) == BATCH + SPILL + 1 && seen(path, sound) == 1, "and only that");
}

int main(void)
{
	struct store *store = NULL;
	struct err err = {.kind = ERR_NONE};
	const char *path;

	tmp_make();
	path = tmp_path("state.db");
	spy_on();
	ok(vfs_name() != NULL && vfs_name() == vfs_name(), "it is registered once");
	ok(store_open(&store, path, &err) == 0, "a store");
	commit(store, path);
	spill(store, path);
	full(store, path);
	store_close(store);
	ok(seen(path, all) == BATCH + SPILL + 1 && seen(path, sound) == 1, "all is there when it is closed");
	return tap_done();
}
