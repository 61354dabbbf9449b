/*
 * One question, one answer, over a Unix socket of JSON lines: the performer for whoever answers in one line. The request is
 * sent as it is; the answer is handed over raw, its "outcome" word is the call's. Out of reach, closed without an answer, or
 * too late: asked again (the other side knows the act by its key and does not do it twice). What was answered "unreachable" with "wait"
 * seconds is the asker's to ask again, who knows how long it has been so.
 */
#ifndef BYOCI_CALLS_WIRE_H
#define BYOCI_CALLS_WIRE_H

#include "calls/calls.h"

struct wire {
	const char *option; /* that names the socket: "land.socket" */
	int64_t limit_ms;   /* for the answer */
	bool once;          /* not asked again: answered "unreachable" instead */
};

/* `about` is a struct wire. */
void wire_begin(struct calls_act *act, const void *about);
void wire_drop(struct calls_act *act);

#endif
