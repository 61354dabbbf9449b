/*
 * The signed records of the plain git forge: a proposal, an approval (doc/INTERFACES.md). A record is a blob: one line of JSON
 * and an armored ssh signature (ssh-keygen(1) -Y sign, PROTOCOL.sshsig) over exactly that line with its newline.
 */
#ifndef BYOCI_GIT_RECORD_H
#define BYOCI_GIT_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define RECORD_NAMESPACE "byoci-record@v1" /* of ssh signatures */
#define RECORD_MAXIMUM (96 * 1024)         /* bytes of a blob */
#define RECORD_ID_SIZE 33                  /* 32 hex digits and a NUL */

enum record_kind { RECORD_PROPOSE, RECORD_APPROVE };

struct record {
	enum record_kind kind;
	const char *repository, *proposal, *target, *commit;
	int64_t time;        /* seconds since 1970, the signer's clock */
	int64_t ms;          /* 0..999 after that, so that two of one second have an order */
	const char *message; /* of a proposal; else NULL */
	const char *who;     /* principal, from record_verify(); NULL: not verified */
	const char *why_not; /* NULL: it may count */
	const char *payload, *signature; /* of the blob; the payload ends with its newline */
};

const char *record_kind_word(enum record_kind kind);

/* The ID that a blob has in its ref's name. Returns `out`. */
char *record_id(const void *blob, size_t length, char out[static RECORD_ID_SIZE]);

/* The line of JSON with its newline, in the arena. Texts that are not UTF-8: ERR_INPUT. */
char *record_payload(struct arena *arena, const struct record *record, struct err *err);

/*
 * Signs with the caller's own key: a private key file, or a public one whose key is in the caller's ssh agent. Nothing is asked:
 * a key with a passphrase must be in the agent. The blob, in the arena.
 */
char *record_sign(struct arena *arena, const char *payload, const char *key, struct err *err);

/* Takes a blob apart. ERR_INPUT: not a record. Nothing is verified; who and why_not are NULL. */
int record_parse(struct arena *arena, const char *blob, size_t length, struct record *record, struct err *err);

/*
 * Whose signature it is: who, or why_not. The key must have been that principal's when the record was made, by its own time, and
 * still be now. -1 only when that could not be found out (no ssh-keygen, no allowed_signers file).
 */
int record_verify(struct arena *arena, const char *allowed_signers, struct record *record, struct err *err);

#endif
