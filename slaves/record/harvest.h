/*
 * What a build's tests left, brought home when they have ended: artefacts out of the worker, test reports among them counted. Trouble with
 * it is a line in the log, never a failure of the tests.
 */
#ifndef BYOCI_SLAVES_HARVEST_H
#define BYOCI_SLAVES_HARVEST_H

#include "slaves/common/ending.h"
#include "slaves/common/output.h"
#include "slaves/common/program.h"
#include "slaves/worker/worker_client.h"

struct harvest {
	const struct program *program;
	struct arena *arena; /* for what the ending is told */
	struct output *output;
	const char *build, *job;
	int signals;         /* readable: cancelled, no more is wanted; -1: none */
	const char *printed; /* file of what the tests wrote to standard output; NULL: it is no report */
	struct ending *ending; /* artefacts, reports and a step are set */
};

/* Whether the job keeps anything, and whether what it prints is a report. ERR_CONFIG. */
int harvest_wanted(const struct program *program, const char *job, bool *any, bool *printed, struct err *err);

/* After the command's end, once. */
void harvest_run(const struct harvest *harvest, struct worker_client *client);

#endif
