/*
 * Merges begun when a hook came: what was pushed to a proposal is fetched, merged and exported while the brain still reads the proposal
 * back, so that nobody knows yet whether it will be built, and what its merge commit will say. {state}/slave/ahead/ID/ (ID of project
 * and proposal) has layer/ and made.json, {"target","base","source","tree"}; ID.making until it is finished, locked by who makes it, and
 * in it a file that is locked until made.json is there.
 * Who merges exactly these commits takes the layer over and writes the commit. The objects come by the same checks as for a build, and
 * nothing of it is used that is not of the spec's own commits. A cache, as premade.h: a daemon begins with none.
 */
#ifndef BYOCI_SLAVES_AHEAD_H
#define BYOCI_SLAVES_AHEAD_H

#include <jansson.h>

#include "forge/spec.h"
#include "loop/loop.h"
#include "slaves/common/program.h"
#include "slaves/common/trash.h"
#include "slaves/tree/tree.h"

/* The daemon's side: one is made at a time, the others wait. */
struct ahead;

struct ahead *ahead_new(struct loop *loop, const struct program *program, struct trash *trash, struct err *err);
/* Who makes one ends with us. NULL is allowed. */
void ahead_free(struct ahead *ahead);

/* {"project","proposal"}. ERR_REFUSED: none are kept here, or there is no such project. ERR_INPUT: not the name of a proposal. */
int ahead_ask(struct ahead *ahead, const json_t *message, struct err *err);

/* Removes those that nobody asked for in a day, and all but the newest premade.maximum. */
void ahead_sweep(struct ahead *ahead);

#define AHEAD_TAKEN ".ahead"

/* The side of a build, or of a merge made beforehand. */
struct ahead_wish {
	const struct program *program;
	const struct spec *spec;
	const char *layer; /* where the tree goes; what was taken is in a folder of that name and AHEAD_TAKEN before */
};
/* Waits for the merge of one that is just being made. 1: its files are being written, `tree` is what they will be, if it is taken. */
int ahead_expect(const struct ahead_wish *wish, char tree[static TREE_ID_SIZE], struct arena *arena, struct err *err);
/* Waits for one that is just being made. 1: the layer is there, and `tree` is its id; 0: there is none of these commits; -1. */
int ahead_take(const struct ahead_wish *wish, char tree[static TREE_ID_SIZE], struct arena *arena, struct err *err);

#endif
