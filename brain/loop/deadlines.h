/* Many deadlines of one length on one timer of the loop: they pass in the order in which they were started. */
#ifndef BYOCI_LOOP_DEADLINES_H
#define BYOCI_LOOP_DEADLINES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "loop/loop.h"

/* In its owner; zeroed at first. */
struct deadline {
	TAILQ_ENTRY(deadline) link;
	int64_t until_us; /* CLOCK_MONOTONIC; 0: not started */
	void *owner;
};

struct deadlines {
	struct loop *loop;
	int64_t length_ms;
	size_t count, most; /* started ones */
	loop_fn *passed; /* gets the owner; its deadline is stopped already */
	struct loop_source *timer;
	TAILQ_HEAD(, deadline) queue;
};

/* When more than 7/8 of `room` are started, the first of them pass at once: who was there longest makes room. */
void deadlines_init(struct deadlines *deadlines, struct loop *loop, int64_t length_ms, size_t room, loop_fn *passed);
void deadlines_release(struct deadlines *deadlines);

/* From now on; again, if it was started already. */
void deadlines_start(struct deadlines *deadlines, struct deadline *deadline, void *owner);
void deadlines_stop(struct deadlines *deadlines, struct deadline *deadline);

#endif
