/*
 * The tests of one build in one worker: start it, put the tree into it, run the job's commands in it under their limits, log what they
 * write, tear it down.
 */
#ifndef BYOCI_SLAVES_TRIAL_H
#define BYOCI_SLAVES_TRIAL_H

#include <stdbool.h>

#include "slaves/common/ending.h"
#include "slaves/common/output.h"
#include "slaves/common/program.h"
#include "slaves/worker/worker_client.h"

/* A worker that runs and has no tree yet; begins as zeros: none. */
struct trial_worker {
	struct worker_client *client;
	bool starting; /* it was asked for, and is to be awaited */
	char backing[WORKER_DIGEST_SIZE];
};

/* Starts one for a job. -1 and err: there is none. */
int trial_ready(const struct program *program, const char *job, const char *job_digest, struct trial_worker *worker, struct err *err);

/* The same in two: the client's descriptor is readable when the second has nothing to wait for. */
int trial_ask(const struct program *program, const char *job, const char *job_digest, struct trial_worker *worker, struct err *err);
int trial_await(struct trial_worker *worker, struct err *err);

/* Whether it is well, once it has started; if not it is removed. */
int trial_check(struct trial_worker *worker, struct err *err);

/* Removes it, and returns when it is gone; none is fine. */
void trial_release(struct trial_worker *worker);

struct trial {
	const struct program *program;
	struct arena *arena;    /* for texts of the ending */
	struct output *output;
	const char *build, *project, *job, *job_digest;
	bool secrets;           /* the tests may have the project's: the build was approved */
	const char *layer;      /* folder whose tree goes into the worker */
	struct trial_worker *worker; /* is not there any more afterwards */
	int64_t began;          /* when the worker was asked for, ms since 1970 */
	int signals;            /* readable: cancelled */
	struct ending *ending;  /* outcome, reason, backing, exit, times and steps are set */
	bool kept;              /* set: its worker is kept, and needs the layer */
};

/* -1 and err: trouble that is not the tests' fault; the worker is gone or its connection closed either way. */
int trial_run(struct trial *trial, struct err *err);

#endif
