/*
 * Merges made beforehand: {state}/slave/premade/NAME/ has layer/ (the exported tree) and made.json (slaves/test/prepared.h)
 * of a merge that a build may ask for later. NAME.making is one that is not finished; the finished one gets its name by rename(2), as
 * the last thing, so that nothing that looks finished is not. All of it is a cache: a daemon begins with none. A name says for which
 * target and target's tip, which proposal, and, by digest, which merge it is, so that those of a tip that is past are found by name.
 */
#ifndef BYOCI_SLAVES_PREMADE_H
#define BYOCI_SLAVES_PREMADE_H

#include "forge/spec.h"
#include "loop/loop.h"
#include "slaves/common/ending.h"
#include "slaves/common/program.h"
#include "slaves/common/trash.h"

/* The daemon's side: at most one is being made at a time, by a process of low priority; the others wait. */
struct premade;

struct premade *premade_new(struct loop *loop, const struct program *program, struct trash *trash, struct err *err);
/* Who makes one ends with us. NULL is allowed. */
void premade_free(struct premade *premade);

/*
 * Has the merge of a checked spec made unless it is there. `text` is the spec as JSON. What is past by what this spec says is removed.
 * ERR_REFUSED: none are kept here.
 */
int premade_ask(struct premade *premade, const struct spec *spec, const char *text, struct err *err);

/* A build of that spec begins: it makes the merge itself unless that is begun. */
void premade_yield(struct premade *premade, const struct spec *spec);

/* Removes those that were not asked for in a day. */
void premade_sweep(struct premade *premade);

/* A build's side. */
struct premade_wish {
	const struct program *program;
	const struct spec *spec;
	const char *layer; /* where the tree goes */
	bool wait;         /* for one that is just being made */
};
/* Takes its merge over, its ids into *ending. 1: done; 0: there is none; -1. */
int premade_take(const struct premade_wish *wish, struct ending *ending, struct arena *arena, struct err *err);

/* Until the process that has the folder locked has ended, whatever its end. */
void premade_await(const char *path);

/* Makes one in `folder`, where its spec.json is; the exit status. prepare.h has it. */
typedef int premade_make_fn(const struct program *program, const char *folder);

/* `byoci-slave premake NAME`: the process that makes one. Standard output is its made.json. */
int premade_verb(const struct program *program, const char *name, premade_make_fn *make);

#endif
