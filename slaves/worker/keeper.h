/*
 * The process of a worker that is kept: what a handler (handler.h) becomes when its build's owner asked for that. It waits, with the
 * worker's disk in its mounts, for connections that other handlers pass on: to discard the worker, or to have a shell in it.
 */
#ifndef BYOCI_SLAVES_KEEPER_H
#define BYOCI_SLAVES_KEEPER_H

#include "base/err.h"
#include "slaves/worker/worker.h"
#include "slaves/worker/worker_wire.h"

/* Listens where keeper_pass() looks. Before the reply that it is kept. */
int keeper_listen(const struct worker *worker, struct err *err);

/* Until it is discarded or past its expiry: returns who wants to hear that it was removed, or -1. */
int keeper_run(struct worker *worker, const char *build, int listener);

/*
 * Passes a connection on whose request is for a kept build, with the request's descriptors. ERR_NOT_FOUND: none of that build is
 * kept. The connection stays the caller's to close, without an answer.
 */
int keeper_pass(const struct conf *conf, const struct worker_request *request, int connection, const int *descriptors, struct err *err);

/*
 * What a copy needs of a kept worker, asked of its process: without `filling` what it is made of, whose descriptors are the caller's;
 * with it, has what was written copied there, and says no more. ERR_BUSY: somebody has a shell in it.
 */
struct keeper_filling {
	int to;      /* folder */
	int64_t ids; /* of the copy's root */
};
struct keeper_answer {
	int root, layer, mounts; /* worker.h: struct worker_origin */
	uid_t owner;
	char text[WORKER_TEXT_SIZE]; /* DIGEST JOB */
};
int keeper_ask(const struct conf *conf, const char *build, const struct keeper_filling *filling, struct keeper_answer *answer,
	struct err *err);

#endif
