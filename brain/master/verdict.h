/* What a master's replies mean. Pure. */
#ifndef BYOCI_MASTER_VERDICT_H
#define BYOCI_MASTER_VERDICT_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/http.h"

/*
 * The JSON of a reply; a new reference. Hudson sends it as application/javascript and repeats keys: the last counts. ERR_INPUT: a page,
 * or anything else.
 */
json_t *verdict_json(const struct http_reply *reply, struct err *err);

/*
 * What a reply means that is not what was hoped for, and what to do about it. Always -1. `url` is the master's root; `what` was asked
 * for below it.
 */
int verdict_refusal(const char *url, const struct http_reply *reply, const char *what, struct err *err);

/* What became of a trigger (buildWithParameters). */
enum verdict {
	VERDICT_QUEUED,  /* it is in the queue, under the id */
	VERDICT_TAKEN,   /* it was taken, under an id that is not told: Hudson */
	VERDICT_DOUBT,   /* it may have been taken, or not */
	VERDICT_LATER,   /* it was not, and may be when it is asked for later */
	VERDICT_REFUSED  /* it was not: `err` says why, and what to do about it */
};

/* *item is set with VERDICT_QUEUED only; `err` with LATER, DOUBT and REFUSED. Of a Location nothing but the id is read. */
enum verdict verdict_trigger(const char *url, const struct http_reply *reply, const char *job, int64_t *item, struct err *err);

/* -1: it sends us to a page to log in at, so nothing was done. */
int verdict_login(const char *url, const struct http_reply *reply, struct err *err);

/* The number after "/queue/item/" at the end of an address; 0: there is none. */
int64_t verdict_item(const char *location);

#endif
