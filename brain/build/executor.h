/*
 * How builds reach a slave: one performer (calls/calls.h) of the kind "build" for each way, and one that chooses by the lane: local.h,
 * jenkins.h.
 *
 * The call's key is the build's id, its request the spec's JSON text. It is begun again after a restart of the brain, so
 * `begin` finds a build that runs, or ended, by its id. It tells progress "began" when the slave has taken it, appends what the build
 * prints to the brain's own copy of the log (build_log_path), and answers: OUTCOME_SUCCESS with the signed result line, whatever
 * the tests said; any other outcome when there is no result line, with the reason.
 */
#ifndef BYOCI_BUILD_EXECUTOR_H
#define BYOCI_BUILD_EXECUTOR_H

#include "calls/calls.h"

#define EXECUTOR_KIND "build"

void executor_begin(struct calls_act *act, const void *about);
void executor_cancel(struct calls_act *act);
void executor_drop(struct calls_act *act);

#endif
