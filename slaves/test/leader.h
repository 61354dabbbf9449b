/*
 * The leader of one build (`byoci-slave leader BUILD`): a process in its own session that has it merged, runs the tests in a worker
 * and writes the signed result before it ends. It outlives the daemon that started it. SIGTERM cancels the build.
 */
#ifndef BYOCI_SLAVES_LEADER_H
#define BYOCI_SLAVES_LEADER_H

#include "slaves/common/program.h"
#include "slaves/test/trial.h"

/*
 * `claim`: the descriptor of the locked leader.pid (slaves/record/builds.h); -1: take it. Returns the exit status: 0 when a result
 * was written.
 */
int leader_verb(const struct program *program, const char *build, int claim);

/* For a process that had a worker ready before there was a build: `signals` is its leader_signals(). */
struct leader_order {
	const struct program *program;
	const char *build;
	int claim, signals;
	struct trial_worker *worker; /* one without a client: none; the leader starts one */
};
int leader_lead(const struct leader_order *order);

/* SIGTERM and SIGINT are blocked and come as a descriptor: what cancels. -1. */
int leader_signals(struct err *err);

#endif
