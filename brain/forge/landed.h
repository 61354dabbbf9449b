/*
 * What a landing daemon says about one landing that it was asked for, and the line it signs it with (doc/INTERFACES.md): an answer that
 * went through hands that may not be believed, such as a job's log. Pure but for the key. The key is the landing daemon's own, so that
 * neither whoever runs tests nor a Jenkins account can say that something landed.
 */
#ifndef BYOCI_FORGE_LANDED_H
#define BYOCI_FORGE_LANDED_H

#include <jansson.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/crypto.h"
#include "base/err.h"
#include "forge/outcome.h"
#include "forge/result.h"

#define LANDED_HEADER "byoci-landed-1 "
#define LANDED_LINE_MAXIMUM (32 * 1024) /* bytes of a signed line */
#define LANDED_KEY_SUFFIX "-land"       /* the public key of slave NAME's landing daemon is result-keys/NAME-land.pub */

struct landed {
	const char *build, *namespace, *project, *proposal, *target; /* of the spec that was asked for */
	const char *slave;      /* whose landing daemon it is */
	const char *merge;      /* the tested merge; "": there was no result that can be believed */
	const char *target_tip; /* as last seen on the forge; "": it was not read */
	enum outcome outcome;
	const char *reason;     /* one line for people; may be "" */
	int64_t wait;           /* seconds that the forge asked to be left alone for; 0: it did not say */
	struct timing *steps;
	size_t step_count;
	int64_t time;           /* ms since 1970 */
};

/* The payload, compact JSON in the arena; bytes that are not UTF-8 are replaced by '?'. */
char *landed_payload(struct arena *arena, const struct landed *landed);

/* "byoci-landed-1 PAYLOAD SIGNATURE" without newline, in the arena. NULL and err when it cannot be signed. */
char *landed_sign_line(struct arena *arena, const struct landed *landed, const struct crypto_key *key, struct err *err);

/*
 * Verifies, then parses. A trailing newline is allowed. ERR_INPUT: not such a line or payload; ERR_REFUSED: the signature is not
 * the key's. Texts are in the arena; *landed is set only on success. That it is about what was asked for is the caller's to compare.
 */
int landed_read_line(struct arena *arena, const char *line, const struct crypto_key *key, struct landed *landed, struct err *err);

/* The slave that a line says it is of, to find its key by, in the arena; nothing is verified. NULL: it says no name. */
const char *landed_slave(struct arena *arena, const char *line);

#endif
