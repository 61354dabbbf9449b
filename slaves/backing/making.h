/*
 * A backing that is being made: who is told of it, how long it may take, and the processes that do it. They end with the caller,
 * however that ends, and so does whatever they have started.
 */
#ifndef BYOCI_SLAVES_MAKING_H
#define BYOCI_SLAVES_MAKING_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/strv.h"
#include "conf/conf.h"
#include "forge/recipe.h"

struct making {
	struct arena *arena;
	const struct conf *conf;
	const struct recipe *recipe;
	const char *folder; /* which is being made: its rootfs/ is the root file system */
	const char *rootfs;
	const char *on;     /* name of the base's generation, once it is known */
	int progress;       /* lines for people go here */
	int caller;         /* a connection: when its other end goes away, so does the wish; -1: none */
	int64_t deadline_us; /* CLOCK_MONOTONIC */
};

/* A line for people. Nobody reading it is no reason to stop. */
void making_say(const struct making *making, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ERR_TIMEOUT: past the deadline; ERR_NETWORK: the caller has gone. */
int making_wanted(const struct making *making, const char *what, struct err *err);

/*
 * Runs a program to its end, with making_environment() in "/"; what it prints is progress. ERR_SYSTEM: another exit status than 0;
 * ERR_FULL: and the disk is full.
 */
int making_run(const struct making *making, const char *what, const struct strv *argv, struct err *err);

/*
 * Runs a function in a process of its own, with 1 and 2 being progress, in new namespaces (CLONE_NEW…, or 0; with CLONE_NEWPID it is
 * the first process). It returns what the function returned, with its error.
 */
typedef int making_fn(const struct making *making, void *cookie, struct err *err);
int making_call(const struct making *making, const char *what, int namespaces, making_fn *call, void *cookie, struct err *err);

/* What programs see: a path, proxies, no language. */
void making_environment(struct strv *environment);

/* Removes a folder and what is in it, without leaving its file system. Nothing there is fine. */
int making_remove(const struct making *making, const char *path, struct err *err);

#endif
