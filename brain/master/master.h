/*
 * A client of one Jenkins or Hudson: knows who we are there (API token or password), gets a crumb when the master wants one and
 * another when it is stale, keeps the session that the crumb is bound to, never has more than site.at_once requests under way, leaves a
 * master alone for a while that does not answer or answers 5xx, and follows no redirect: of a Location only ids are read.
 *
 * A status is no error: every reply is handed over (master/verdict.h says what it means). Errors: ERR_NETWORK, ERR_TIMEOUT,
 * ERR_FULL, ERR_INPUT as of loop/http.h; ERR_CONFIG and ERR_REFUSED about the secret's file.
 */
#ifndef BYOCI_MASTER_MASTER_H
#define BYOCI_MASTER_MASTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "loop/http.h"
#include "loop/loop.h"
#include "master/site.h"

struct master;
struct master_call; /* one request that waits or is under way */

/* Known from the first JSON on: X-Jenkins is on each of Jenkins', on none of Hudson's. */
enum master_dialect { MASTER_UNKNOWN, MASTER_JENKINS, MASTER_HUDSON };

struct master_request {
	const char *path;  /* below the root, escaped, with its query: "job/A/api/json?tree=name" */
	const char *form;  /* POST application/x-www-form-urlencoded; "" too */
	const char *xml;   /* POST application/xml; of form and xml at most one, neither: GET */
	size_t maximum;    /* bytes of the reply; 0: 4 MiB */
	int64_t limit_ms;  /* 0: site.limit_ms */
	const int *to;      /* where the body of a 2xx goes, as of loop/http.h; it must stay; NULL: it is kept */
	int64_t to_maximum;
};

/* `site` is copied. `loop` NULL: only the blocking functions. */
struct master *master_new(const struct site *site, struct loop *loop, struct err *err);
/* Cancels every call; not from a callback. NULL is allowed. */
void master_free(struct master *master);

const struct site *master_site(const struct master *master);
enum master_dialect master_dialect(const struct master *master);
/* What X-Jenkins or X-Hudson said; "" when none did yet. */
const char *master_version(const struct master *master);

/* --- on the loop */

/*
 * `reply` is NULL when there is none, and then `err` says why; both are borrowed. Called once. `sent` is false when the request
 * certainly never reached the master: nothing was connected.
 */
typedef void master_fn(void *cookie, const struct http_reply *reply, bool sent, const struct err *err);

/* All is copied. The callback comes from the loop, never from here. */
struct master_call *master_ask(struct master *master, const struct master_request *request, master_fn *call, void *cookie);
/* No callback any more. NULL is allowed; not after the callback. */
void master_cancel(struct master_call *call);

/* Requests that wait or are under way. */
unsigned master_busy(const struct master *master);

/* --- blocking, for command-line tools */

int master_once(
	struct master *master, const struct master_request *request, struct arena *arena, struct http_reply *reply, struct err *err);

/* The object or array at `path`; a new reference. Any other reply than 200 with JSON is an error that says what to do. */
json_t *master_get_json(struct master *master, const char *path, struct err *err);
/* 0 when the reply's status is one of 200, 201, 204, 302, 303; else an error that says what to do. */
int master_post_form(struct master *master, const char *path, const char *form, struct err *err);
int master_post_xml(struct master *master, const char *path, const char *xml, struct err *err);

#endif
