/*
 * One line that somebody has signed: "HEADER BASE64(payload) BASE64(signature)", the ed25519 signature over the ASCII bytes before the
 * second space. Pure but for the key.
 */
#ifndef BYOCI_FORGE_SEAL_H
#define BYOCI_FORGE_SEAL_H

#include <jansson.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/crypto.h"
#include "base/err.h"

/* What lines of one kind have in common. */
struct seal_form {
	const char *header; /* with the space behind it */
	const char *what;   /* "a result": for errors */
	size_t maximum;     /* bytes of a line */
};

/* The fields of a payload that are texts, in their order: one table for writing and reading. */
struct seal_text {
	const char *key;
	size_t at; /* of the const char * in the record */
};
#define SEAL_TEXT(type, name) {#name, offsetof(struct type, name)}

/* Each as a member of `json`. */
void seal_put_texts(json_t *json, const struct seal_text *texts, size_t count, const void *record);
/* From there, in the arena. ERR_INPUT: one is not there, or no text. */
int seal_get_texts(
	struct arena *arena, const json_t *json, const struct seal_text *texts, size_t count, void *record, struct err *err);

/* Without newline, in the arena. NULL and err when it cannot be signed, or is too long. */
char *seal_line(struct arena *arena, const struct seal_form *form, const char *payload, const struct crypto_key *key, struct err *err);

/*
 * Takes a line apart and verifies it: the payload's bytes, in the arena. A newline behind it is allowed. NULL and ERR_INPUT: no such
 * line; ERR_REFUSED: the signature is not the key's.
 */
const char *seal_open(
	struct arena *arena, const struct seal_form *form, const char *line, const struct crypto_key *key, size_t *length, struct err *err);

/* The payload of a line that was verified before, or before it is: nothing about it is known. A new reference; NULL: there is none. */
json_t *seal_peek(struct arena *arena, const struct seal_form *form, const char *line, size_t nodes);

#endif
