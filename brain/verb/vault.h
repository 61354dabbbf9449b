/*
 * Secrets on disk: made whole or not at all, never overwritten, each readable by one user only. New ones grow in a folder that
 * only the caller can enter and are moved to their place by a rename that replaces nothing (renameat2(2)): no user whose folder
 * it is can make root write elsewhere.
 */
#ifndef BYOCI_VERB_VAULT_H
#define BYOCI_VERB_VAULT_H

#include "base/arena.h"
#include "base/err.h"

enum vault_kind {
	VAULT_FOLDER, /* mode 0700 */
	VAULT_RANDOM, /* 64 random hex digits */
	VAULT_COPY,   /* the bytes of `source` */
	VAULT_RESULT, /* an ed25519 key (PEM) and its public half at `source` */
	VAULT_SSH,    /* an ed25519 key for ssh, and PATH.pub */
	VAULT_GIVEN,  /* somebody's own: checked, not made; missing is wrong */
	VAULT_MAYBE   /* as VAULT_GIVEN; may be missing */
};

struct vault_item {
	enum vault_kind kind;
	const char *path;   /* absolute */
	const char *user;   /* who owns it */
	const char *source; /* see the kinds; of VAULT_GIVEN: how it is brought, NULL: nothing to say */
	const char *owner;  /* user that owns `source`, of VAULT_COPY */
};

enum vault_state {
	VAULT_GOOD,
	VAULT_MADE,
	VAULT_MISSING,
	VAULT_WRONG /* there, but not as it must be */
};

/* How the item is now; `why` is in the arena: what is wrong and what mends it, "" when good. -1 when that cannot be seen. */
int vault_check(struct arena *arena, const struct vault_item *item, enum vault_state *state, const char **why, struct err *err);

/* Makes one that is missing; `stage` is a folder of the caller's alone on the same file system. */
int vault_make(struct arena *arena, const struct vault_item *item, const char *stage, struct err *err);

const char *vault_state_word(enum vault_state state);

#endif
