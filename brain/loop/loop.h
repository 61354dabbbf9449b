/*
 * One thread, one sd-event loop. Everything that waits is registered here and has a cancel.
 * Callbacks run from loop_run() only; none may block. A callback may cancel its own source and any other.
 * Registering can't fail but for want of memory or descriptors, which ends the process: a restart loses nothing.
 */
#ifndef BYOCI_LOOP_LOOP_H
#define BYOCI_LOOP_LOOP_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct loop;
struct loop_source; /* one registration; loop_cancel(NULL) is a no-op */

/* SIGPIPE is ignored from here on: a peer that went away is an error of the write. */
int loop_new(struct loop **loop, struct err *err);
void loop_free(struct loop *loop);

/* Returns after loop_stop(), the turn ended. Tells systemd READY, STOPPING and WATCHDOG where it listens (sd_notify(3)). */
int loop_run(struct loop *loop, struct err *err);
void loop_stop(struct loop *loop);

typedef void loop_io_fn(void *cookie, int fd, uint32_t epoll_events);
typedef void loop_fn(void *cookie);
typedef void loop_child_fn(void *cookie, int status /* exit status, 128 + n for signal n */);

/* The descriptor stays the caller's. `epoll_events`: EPOLLIN, EPOLLOUT, … */
struct loop_source *loop_io(struct loop *loop, int fd, uint32_t epoll_events, loop_io_fn *call, void *cookie);
void loop_io_events(struct loop_source *source, uint32_t epoll_events);

/* Once, `delay_ms` from now (CLOCK_MONOTONIC). The source is gone after the call. */
struct loop_source *loop_after(struct loop *loop, int64_t delay_ms, loop_fn *call, void *cookie);

/* SIGTERM, SIGINT, SIGHUP …: blocked and delivered here. */
struct loop_source *loop_signal(struct loop *loop, int signal, loop_fn *call, void *cookie);

/* When the child ends; it is reaped. The source is gone after the call. */
struct loop_source *loop_child(struct loop *loop, pid_t pid, loop_child_fn *call, void *cookie);

/* Idle until loop_wake(): then called once, before the next sleep. Waking it again before that changes nothing. */
struct loop_source *loop_defer(struct loop *loop, loop_fn *call, void *cookie);
void loop_wake(struct loop_source *source);

/*
 * At the end of each turn in which anything ran, before the next sleep: the brain's COMMIT. One only. A turn takes in
 * what is ready, and what becomes ready meanwhile, for at most LOOP_TURN_MS.
 */
#define LOOP_TURN_MS 5
struct loop_source *loop_turn(struct loop *loop, loop_fn *call, void *cookie);

/* Of the turn, from 1. */
uint64_t loop_number(const struct loop *loop);

void loop_cancel(struct loop_source *source);

#endif
