/*
 * Reads proposals of a plain git repository back: refs and records, each record verified. Bounded: so many refs, records and
 * bytes, whatever was pushed.
 */
#ifndef BYOCI_GIT_READER_H
#define BYOCI_GIT_READER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "git/place.h"
#include "git/repo.h"

/* Commits that were found on targets, or not, by earlier reads: what one is ancestor of never changes. Begins as zeros. */
#define READER_MEMORY 64
struct reader_memory {
	struct {
		char head[65], tip[65];
		bool merged;
	} known[READER_MEMORY];
	size_t next;
};

struct reader {
	const struct repo *repo;
	const struct place *place;
	int64_t now; /* seconds: records dated more than 600 s later do not count */
	struct reader_memory *memory; /* NULL: none */
	const char *allowed; /* text of allowed_signers, for signatures of the plain kind (ctl/sshsig.h); NULL: ssh-keygen says it of all */
	bool unchecked; /* signatures are not looked at: this host does not know the signers, and decides nothing */
};

/* The reply that dialect git's .proposal() parses, as a new reference; see doc/INTERFACES.md. */
json_t *reader_proposal(const struct reader *reader, const char *name, struct err *err);

/* {"proposals":[{"name","head","version"}],"targets":[{"ref","tip"}]} */
json_t *reader_list(const struct reader *reader, struct err *err);

#endif
