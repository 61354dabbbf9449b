/*
 * The artefacts of a build as a table: the first are in its signed result; of those behind them the slave of this machine is asked, a page
 * at a time.
 */
#ifndef BYOCI_WWW_LISTING_H
#define BYOCI_WWW_LISTING_H

#include <jansson.h>
#include <stdint.h>

#include "base/buf.h"
#include "calls/brain.h"
#include "loop/httpd.h"

struct listing;

struct listing *listing_new(struct brain *brain);
void listing_free(struct listing *listing); /* after the listener; NULL is allowed */

struct listing_part {
	const char *build;
	const json_t *rows; /* {"path","size","sha256"} */
	int64_t first;      /* the place of the first of them, from 1 */
	int64_t count;      /* of all; what is behind the rows is linked to */
};
/* Each by its place: no name that a test made up is part of an address. */
void listing_put(struct buf *page, const struct listing_part *part);

/* A page of those from `first` on. */
void listing_answer(struct listing *listing, struct httpd_request *request, const char *build, int64_t first);

/* The request is gone; also for requests that were not ours. */
void listing_gone(struct listing *listing, struct httpd_request *request);

#endif
