/* The key that a person signs and pushes with. */
#ifndef BYOCI_GIT_SIGNER_H
#define BYOCI_GIT_SIGNER_H

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "git/record.h"
#include "git/repo.h"

/* Absolute, in the arena. `key` is what -k said; NULL: git's user.signingkey in `own` (may be NULL), else ~/.ssh/id_ed25519. */
const char *signer_key(struct arena *arena, const struct repo *own, const char *key, struct err *err);

/*
 * How `repo` reaches the project: with `given` (what -k said) by that key alone and the known_hosts of the namespace; without it
 * by the caller's own ssh, which knows these hosts as well.
 */
int signer_ssh(const struct conf *conf, struct arena *arena, struct repo *repo, const char *given, struct err *err);

/*
 * Signs the record and pushes it to `address`, a proposal's together with its commit as the proposal's head: one atomic push.
 * `id` gets the record's ID. A head that is there and is not an ancestor is taken off only when the caller's clone has that
 * commit; else ERR_REFUSED: it is somebody else's.
 */
struct signer_push {
	struct repo *repo; /* that has the commit; gets the blob */
	const char *address;
	const char *key;
	const struct record *record;
};
int signer_push(struct arena *arena, const struct signer_push *push, char id[static RECORD_ID_SIZE], struct err *err);

/* That on standard output, for programs: one line of JSON. */
void signer_say(const struct record *record, const char *id);

#endif
