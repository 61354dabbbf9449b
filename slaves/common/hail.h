/*
 * One plain HTTP request to a server that is expected to be near: whether the brain is up, and what time a server has. A status and a
 * date are all that is looked at. Blocks, for seconds at most.
 */
#ifndef BYOCI_SLAVES_HAIL_H
#define BYOCI_SLAVES_HAIL_H

#include <stdint.h>

#include "base/arena.h"

struct hail {
	const char *address; /* HOST[:PORT], an IPv6 address in brackets */
	const char *path;
	int64_t date;        /* of the answer, seconds since 1970; 0: it has none that can be read */
};

/* The status; 0: there was no answer that is one. */
int hail_ask(struct hail *hail, struct arena *arena);

/* What an answer's head says; `text` as it came, NUL-ended. Pure. */
int hail_read(const char *text, int64_t *date);

/* Seconds since 1970 of a Date header's value; 0: it is none. Pure. */
int64_t hail_date(const char *text);

/* "http://HOST[:PORT]/…" as an address, in the arena; NULL: it is another kind of URL. */
const char *hail_address(struct arena *arena, const char *url);

#endif
