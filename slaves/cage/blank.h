/*
 * A container that was started before it is known for which job: it has a slot with its ids, control groups, name spaces, and an init
 * that only waits, but no root file system, no limits and no network. A job that asks for nothing that only a start can give (init, nested,
 * network = nat) gets it dressed with the rest in a tenth of the time that a start takes. For workers = lxc. In a process that is the
 * first of its process name space and has no other worker; it ends with that.
 */
#ifndef BYOCI_SLAVES_BLANK_H
#define BYOCI_SLAVES_BLANK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "slaves/cage/lxc.h"
#include "slaves/cage/slot.h"

#define BLANK_LIVES_MS (60 * INT64_C(60000)) /* then it should be ended: the reaper does so some minutes later */

struct blank;

/* `pid` and `process_start` are those of slot.h. In the arena; `conf` outlives it. NULL: ERR_BUSY when no slot is free. */
struct blank *blank_start(struct arena *arena, const struct conf *conf, pid_t pid, int64_t process_start, struct err *err);

/* Whether workers of this job, as the configuration is now, can be made of one. Also false when that can't be known. */
bool blank_suits(struct arena *arena, const struct conf *conf, const char *job);

/* Its parts become the caller's, once: first the slot, then the container. */
struct slot *blank_slot(struct blank *blank);
struct lxc *blank_container(struct blank *blank);

/* Whether its first process still runs. */
int blank_check(const struct blank *blank, struct err *err);

/* Ends what is still its own, and frees the slot. NULL is fine. */
int blank_remove(struct blank *blank, struct err *err);

#endif
