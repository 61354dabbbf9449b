/*
 * An artefact of a build over HTTP. Its bytes are a hostile test's, so a browser gets something to save, and never something to show. The
 * slave of this machine hands the open file over; the brain sees nothing else of the slave's.
 */
#ifndef BYOCI_WWW_DOWNLOADS_H
#define BYOCI_WWW_DOWNLOADS_H

#include "calls/brain.h"
#include "loop/httpd.h"

struct downloads;

struct downloads *downloads_new(struct brain *brain);
void downloads_free(struct downloads *downloads); /* after the listener; NULL is allowed */

/* As the signed result of the build lists it: `number` is its place in the list, from 1. Of those behind the slave tells. */
struct downloads_wish {
	const char *build;
	int64_t number, size;
	const char *path; /* what the test called it; NULL: the result does not say */
};
void downloads_answer(struct downloads *downloads, struct httpd_request *request, const struct downloads_wish *wish);

/* The request is gone; also for requests that were not ours. */
void downloads_gone(struct downloads *downloads, struct httpd_request *request);

#endif
