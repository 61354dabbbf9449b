/*
 * Where backings are: WORKER/backings (root's, 0700: nobody else reaches the setuid programs in there).
 *
 *   DIGEST.TIME/      a generation: rootfs/ and about.json. What has such a name is whole and was tried.
 *   DIGEST            link to the generation that is used; DIGEST.previous: to the one that was used before it
 *   DIGEST.json       how the last building went
 *   DIGEST.log        what the last refresh said
 *   DIGEST.lock       locked by who builds, switches or removes generations of DIGEST
 *   .DIGEST/          being built; rubbish when the lock is free
 *   .gone.NAME/       being removed
 *
 * DIGEST is that of the inputs (forge/recipe.h), TIME is when it was made, YYYYMMDDTHHMMSSmmmZ: later ones sort later. Whoever uses a
 * generation has a shared lock (flock) on its rootfs; it is removed only with an exclusive one. A folder named DIGEST is one of an
 * earlier release: shelf_tidy() makes it a generation.
 */
#ifndef BYOCI_SLAVES_SHELF_H
#define BYOCI_SLAVES_SHELF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "forge/job.h"

struct shelf {
	struct arena *arena;
	const char *folder;
	const char *digest;
	const char *temporary; /* FOLDER/.DIGEST */
	const char *log;       /* FOLDER/DIGEST.log */
};

struct shelf_generation {
	const char *name; /* DIGEST.TIME */
	const char *on;   /* generation of its base; NULL: has none */
	int64_t made_ms;
	int64_t bytes;    /* on disk */
	unsigned users;   /* who has it locked: workers, waiting ones too, and builds on top of it */
};

/* How building went. */
struct shelf_state {
	int64_t tried_ms;  /* when the last one ended; 0: there was none */
	int64_t made_ms;   /* when it last went well */
	int64_t failures;  /* in a row, since then */
	const char *error; /* of the last; NULL: it went well */
};

int shelf_find(struct shelf *shelf, struct arena *arena, const struct conf *conf, const char *digest, struct err *err);

/* Makes the folder, and takes it from others where it was made by an earlier release. */
int shelf_make(const struct shelf *shelf, struct err *err);

/* The generation that is used, or was used before; NULL: there is none. */
const char *shelf_current(const struct shelf *shelf);
const char *shelf_previous(const struct shelf *shelf);
void shelf_describe(const struct shelf *shelf, const char *name, struct shelf_generation *generation);

/*
 * Descriptor of the root file system of a generation (NULL: the current one), with a shared lock: it stays as long as the descriptor
 * or a copy of it is open. ERR_NOT_FOUND.
 */
int shelf_use(const struct shelf *shelf, const char *generation, struct err *err);

/* The builder's lock, as a descriptor; ERR_BUSY: somebody else has it. */
int shelf_lock(const struct shelf *shelf, struct err *err);

/* The rest needs the lock. */

/*
 * A whole generation that a killed build has not brought into use is brought into use where there is none. What is neither used nor
 * a generation is moved aside, for shelf_gone().
 */
int shelf_tidy(const struct shelf *shelf, struct err *err);

/* Brings FOLDER/.DIGEST, whole and on disk, into use: all at once, also when the power fails. What was used becomes the previous. */
int shelf_put(const struct shelf *shelf, int64_t made_ms, struct err *err);

/* Moves a generation aside; ERR_BUSY: it is in use. */
int shelf_take_away(const struct shelf *shelf, const char *generation, struct err *err);

/* What was moved aside: paths, NULL-ended, in the arena. To be removed by whoever has the time. */
const char *const *shelf_gone(const struct shelf *shelf);

/* Names of the generations of this digest, the oldest first; NULL-ended. */
const char *const *shelf_generations(const struct shelf *shelf);

int shelf_write_state(const struct shelf *shelf, const struct shelf_state *state, struct err *err);
void shelf_read_state(const struct shelf *shelf, struct shelf_state *state);

/* Digests that there is anything of; NULL-ended. */
const char *const *shelf_digests(const struct shelf *shelf);

/* Forgets a digest that has no generation any more: links, state, log. */
void shelf_forget(const struct shelf *shelf);

/* Writes FOLDER/.DIGEST/about.json. */
int shelf_write_about(const struct shelf *shelf, const struct shelf_generation *about, const char *name, struct err *err);

#endif
