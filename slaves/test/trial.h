/* The tests of one build in one worker: start it, run the job's commands in it under their limits, log what they write, tear it down. */
#ifndef BYOCI_SLAVES_TRIAL_H
#define BYOCI_SLAVES_TRIAL_H

#include "slaves/common/ending.h"
#include "slaves/common/output.h"
#include "slaves/common/program.h"

struct trial {
	const struct program *program;
	struct arena *arena;    /* for texts of the ending */
	struct output *output;
	const char *build, *job, *job_digest;
	const char *layer;      /* folder that is put over the worker's root file system */
	int signals;            /* readable: cancelled */
	struct ending *ending;  /* outcome, reason, backing, exit, times and steps are set */
};

/* -1 and err: trouble that is not the tests' fault; the worker is gone or its connection closed either way. */
int trial_run(struct trial *trial, struct err *err);

#endif
