/*
 * The processes of a process namespace whose first is the caller: all that are orphaned end up with it, and one of them, the
 * command, is waited for. What the caller kills is gone only when it was reaped here.
 */
#ifndef BYOCI_SLAVES_BROOD_H
#define BYOCI_SLAVES_BROOD_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct brood {
	pid_t command; /* 0: none */
	pid_t waiting; /* the process that will be the command; 0: none */
	int pidfd;     /* of the command; -1: none */
	bool ended;    /* the command has, and nobody was told yet */
	int status;    /* its exit status, 128 + n for signal n */
};

#define BROOD_INIT {.pidfd = -1}

/* This child will be the command, or is killed before. */
void brood_expect(struct brood *brood, pid_t child);

/* From now on this child is the command; the brood takes it over. */
int brood_watch(struct brood *brood, pid_t command, struct err *err);

/* Reaps what has ended. False when there are no children at all any more. */
bool brood_reap(struct brood *brood);

/* Waits, for seconds, until the command, or what would have been it, has ended, which was killed. */
int brood_await(struct brood *brood, struct err *err);

/* Waits until no process is left but the caller; what takes too long is killed. ERR_TIMEOUT. */
int brood_empty(struct brood *brood, struct err *err);

void brood_release(struct brood *brood);

#endif
