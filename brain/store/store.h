/*
 * The one SQLite file (WAL, synchronous=FULL) and every statement that is ever put to it, prepared when it is opened.
 * Callers name a statement and bind typed values; store.c alone knows sqlite3.h. Statements are in store/statement.h.
 *
 *	store_run(store, STORE_ITEM_STATE, err, STORE_TEXT("held"), STORE_INTEGER(now), STORE_INTEGER(id))
 *	store_query(…) then store_step() until it is not 1; columns are read in between.
 *
 * The number of values must be the statement's: anything else is an error, as is a statement that is still stepping. A value is
 * borrowed until the statement is reset, which store_run does itself, store_step at the end, and store_reset.
 */
#ifndef BYOCI_STORE_STORE_H
#define BYOCI_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "store/statement.h"

struct store;

#define STORE_ENUM(name, sql) STORE_##name,
enum store_id { STORE_STATEMENTS(STORE_ENUM) STORE_COUNT };
#undef STORE_ENUM

/*
 * Opens or makes it. A file of a newer version, or that is not ours: ERR_REFUSED. Its folder must be there. The file is 0600.
 * `path` ":memory:" for tests.
 */
int store_open(struct store **store, const char *path, struct err *err);
void store_close(struct store *store); /* NULL is allowed */

enum store_kind { STORE_KIND_NULL, STORE_KIND_INTEGER, STORE_KIND_TEXT, STORE_KIND_BLOB };
struct store_value {
	enum store_kind kind;
	int64_t integer;
	const void *bytes; /* NULL of a text: NULL; of a blob: empty */
	size_t length;     /* of a blob */
};

#define STORE_NULL ((struct store_value){.kind = STORE_KIND_NULL})
#define STORE_INTEGER(number) ((struct store_value){.kind = STORE_KIND_INTEGER, .integer = (number)})
#define STORE_TEXT(text) ((struct store_value){.kind = STORE_KIND_TEXT, .bytes = (text)})
#define STORE_BLOB(data, size) ((struct store_value){.kind = STORE_KIND_BLOB, .bytes = (data), .length = (size)})
/* Ids start at 1: 0 is NULL. */
#define STORE_ID(number) ((struct store_value){.kind = (number) ? STORE_KIND_INTEGER : STORE_KIND_NULL, .integer = (number)})

int store_bind(struct store *store, enum store_id id, const struct store_value *values, size_t count, struct err *err);
/* 1: a row, 0: the end (reset), -1: it failed (reset). */
int store_step(struct store *store, enum store_id id, struct err *err);
void store_reset(struct store *store, enum store_id id);
/* Binds, steps to the end, resets. */
int store_do(struct store *store, enum store_id id, const struct store_value *values, size_t count, struct err *err);
/* Binds and steps once: 1, 0 or -1 as store_step. After 1 the caller resets. */
int store_first(struct store *store, enum store_id id, const struct store_value *values, size_t count, struct err *err);

/* A statement without values. */
int store_plain(struct store *store, enum store_id id, struct err *err);

#define STORE_LIST(...) \
	(const struct store_value[]){__VA_ARGS__}, sizeof((const struct store_value[]){__VA_ARGS__}) / sizeof(struct store_value)
#define store_run(store, id, err, ...) store_do((store), (id), STORE_LIST(__VA_ARGS__), (err))
#define store_query(store, id, err, ...) store_bind((store), (id), STORE_LIST(__VA_ARGS__), (err))
#define store_one(store, id, err, ...) store_first((store), (id), STORE_LIST(__VA_ARGS__), (err))

/*
 * Columns of the row that the statement is on, from 0. Texts and blobs are copies; NULL is 0 or NULL; a text is valid UTF-8,
 * what is not of it is '?'.
 */
int64_t store_integer(struct store *store, enum store_id id, int column);
char *store_text(struct store *store, enum store_id id, int column, struct arena *arena);
const void *store_blob(struct store *store, enum store_id id, int column, struct arena *arena, size_t *length);
bool store_null(struct store *store, enum store_id id, int column);

int64_t store_last_id(struct store *store);      /* of the last INSERT */
int64_t store_changed(struct store *store);      /* rows, by the last INSERT, UPDATE or DELETE */
bool store_in_transaction(const struct store *store);

/* Steps of SQLite's machine that the statement has taken since this was asked last: its work, whatever the clock says. */
int64_t store_steps(struct store *store, enum store_id id);

const char *store_name(enum store_id id);
const char *store_sql(enum store_id id);

#endif
