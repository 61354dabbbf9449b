/*
 * The report stage: what is owed to the proposal is put there by the land daemon, once: its marker, hash(proposal, approved commit,
 * merge, kind), is known to both sides.
 *
 * Inbox: "owed" (reports.id), "answer" (calls.id).
 */
#ifndef BYOCI_REPORT_REPORT_H
#define BYOCI_REPORT_REPORT_H

#include "calls/brain.h"

#define REPORT_KIND "report"

extern const struct brain_handler report_handlers[];

/* A row of `reports`; texts in the arena. */
struct report_row {
	int64_t id, item, made, ended;
	const char *kind, *body, *merged, *marker, *state, *reason; /* merged and reason may be NULL */
};
/* Each: 1, 0: none, -1. */
int report_get(struct brain *brain, struct arena *arena, int64_t id, struct report_row *row, struct err *err);
int report_of_item(
	struct brain *brain, struct arena *arena, int64_t item, struct report_row *row, struct err *err); /* the newest */

#endif
