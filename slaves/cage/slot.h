/*
 * Places for workers, 0 … count - 1, and what is known of who has one. A slot is taken while some process holds the lock on
 * FOLDER/N.lock, so it is free again as soon as its holder and all it started are gone, however that came about. FOLDER/N.json
 * says what the worker in it is: namespace, build, job, kind, process, boot, traces, expiry. It outlives a holder that was killed,
 * and then tells the reaper what is left. Times are milliseconds since 1970.
 */
#ifndef BYOCI_SLAVES_SLOT_H
#define BYOCI_SLAVES_SLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "slaves/cage/kept.h"

struct slot;

struct slot_record {
	const char *namespace;
	const char *build;      /* "": none yet */
	const char *job;
	const char *kind;       /* of its container: cage.h */
	pid_t pid;      /* of the holder, as byoci-worker sees it */
	int64_t process_start; /* process_started(pid) */
	int64_t expiry; /* the reaper kills the holder after this */
	int64_t until;  /* of a kept one: its holder ends by itself then */
	const char *const *traces; /* cage_kind.traces */
	bool kept; /* it works no more, and waits for people */
	bool copy; /* of a kept one: with `kept` */
};

/* The name of a worker's container and of its control groups: "byoci-NAMESPACE-N", in the arena. */
char *slot_name(struct arena *arena, const char *namespace, unsigned number);

/*
 * Takes a free slot and removes what an earlier worker may have left in it. Waits a second for one that is just being freed;
 * then ERR_BUSY.
 */
struct slot *slot_claim(const char *folder, const char *namespace, struct kept_room room, struct err *err);

/* For a copy of a kept one, which counts as kept, too: its record must say so at once. ERR_BUSY: as many as may be are kept. */
struct slot *slot_claim_copy(const char *folder, const char *namespace, struct kept_room room, struct err *err);

/* The one after them, number `count`: for trying new backings, however busy the others are. */
struct slot *slot_claim_last(const char *folder, const char *namespace, unsigned count, struct err *err);
unsigned slot_number(const struct slot *slot);

/* It does not count as working from now on: writes the record, with `kept`. ERR_FULL: as many as may be are kept already. */
int slot_keep(struct slot *slot, struct kept_room room, struct slot_record *record, struct err *err);

/* Before anything of the worker is made, and again when it changes. Seen as a whole or not at all. */
int slot_write(struct slot *slot, const struct slot_record *record, struct err *err);

/*
 * Removes its traces and its record, and frees the slot. On failure the record stays for the reaper; the slot is free
 * all the same.
 */
int slot_release(struct slot *slot, struct err *err);

/*
 * Goes through all slots: what has no holder is removed, a holder past its expiry is killed (and removed the next time).
 * Returns how many were removed; -1 when some could not be, the others having been tried: err names each of them.
 */
int slot_reap(const char *folder, const char *namespace, struct err *err);

#endif
