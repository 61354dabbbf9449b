/* One build or landing on a master, as build/jenkins.h says: what the parts of it share. */
#ifndef BYOCI_BUILD_JENKINS_RUN_H
#define BYOCI_BUILD_JENKINS_RUN_H

#include "build/jenkins.h"
#include "build/jenkins_log.h"
#include "build/masters.h"

struct jenkins_run {
	struct calls_act *act;
	const struct jenkins_kind *kind;
	struct masters_one *one; /* NULL: not taken yet */
	struct arena *arena;     /* of the next three */
	const char *job, *path, *form;

	/* Of these at most one is there: what it waits for. */
	struct master_call *call;
	struct lookup_ask *ask;
	struct loop_source *timer;

	struct master_call *ender; /* beside them: asks the master to end it */
	struct loop_source *ender_timer;
	unsigned enders;           /* how often that was done */

	int64_t id;        /* of the queue's item; 0: not known */
	int64_t number;    /* of the build; 0: not started */
	int64_t until;     /* while it is nowhere: before that, nothing follows from it; clock_boot_ms() */
	int64_t pause_ms;  /* between two looks */
	unsigned triggers; /* POSTs that may have arrived */
	unsigned absent;   /* looks that saw it nowhere, one after the other */
	unsigned failures; /* answers that did not come, or were none, one after the other */
	unsigned gone;     /* times that the master did not know the build, one after the other */
	bool cancelled;    /* its asker wants no more of it */
	char why[512];     /* what the last trigger was answered, when it was no yes; "" */

	int64_t queued;    /* since when it is in the queue; 0: not seen there; clock_boot_ms() */
	unsigned told;     /* how often people were told what for */
	char waits[256];   /* and what */

	struct jenkins_log *log; /* NULL: not followed yet */
	int spool;               /* what comes of the log, before it is whole; -1: none */
	int64_t offset;          /* in the master's log, by its own count */
};

struct jenkins_run *jenkins_run_new(struct calls_act *act, const struct jenkins_kind *kind);
void jenkins_run_free(struct jenkins_run *run);

/* `run` is over: freed first, as this may be the last that the brain does with the act. */
void jenkins_run_answer(struct jenkins_run *run, enum outcome outcome, const char *text);
void jenkins_run_again(struct jenkins_run *run, const char *why);

/* Calls that after a while: never more often than the number of runs on the master allows. */
void jenkins_run_after(struct jenkins_run *run, int64_t delay_ms, loop_fn *call);
/* The next pause of this run: each is longer, up to `maximum`. */
int64_t jenkins_run_pause(struct jenkins_run *run, int64_t maximum);

/*
 * A trouble that may pass: `call` again later. When there were many, all from the start (then people see it in byoci status); but what has
 * a number keeps it, and people are told.
 */
void jenkins_run_trouble(struct jenkins_run *run, const char *why, loop_fn *call);

/* A reason for people, on the proposal: what the master says that it waits for. Not the same twice, and not often. */
void jenkins_run_tell(struct jenkins_run *run, const char *why);

/* jenkins_follow.c: `run` has a number. */
void jenkins_follow_begin(struct jenkins_run *run);

#endif
