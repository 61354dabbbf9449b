/*
 * The landing stage: asks the land daemon to put the tested merge on its target, on its socket or, where the project has a master, by a
 * job that asks it. The daemon believes nothing of it and checks the signed result and the forge's approval itself; what it answers,
 * signed when it comes through a job, is the landing's row, and the gate is told.
 *
 * Inbox: "asked" (landings.id), "answer" (calls.id).
 */
#ifndef BYOCI_LANDING_LANDING_H
#define BYOCI_LANDING_LANDING_H

#include "calls/brain.h"
#include "calls/calls.h"

#define LANDING_KIND "land"

extern const struct brain_handler landing_handlers[];

/* The performer, over wire.h (`about`) or build/jenkins.h. */
void landing_begin(struct calls_act *act, const void *about);
void landing_drop(struct calls_act *act);

/* A row of `landings`; texts in the arena. */
struct landing_row {
	int64_t id, build, item, asked, ended;
	const char *state, *outcome, *reason, *merged, *target_tip, *answer; /* all but the first may be NULL */
};
/* Each: 1, 0: none, -1. */
int landing_get(struct brain *brain, struct arena *arena, int64_t id, struct landing_row *row, struct err *err);
int landing_of_item(
	struct brain *brain, struct arena *arena, int64_t item, struct landing_row *row, struct err *err); /* the newest */

#endif
