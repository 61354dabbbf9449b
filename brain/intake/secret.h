/*
 * The secrets that an account's hooks are signed with: one current, one previous. Files are looked at again when they
 * change, so that a rotation needs no restart. Bytes never leave this file but into an HMAC or a constant-time comparison.
 */
#ifndef BYOCI_INTAKE_SECRET_H
#define BYOCI_INTAKE_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "forge/dialect.h"

struct secret_pair;

/* Paths are copied; neither file need exist now. */
struct secret_pair *secret_new(const char *current, const char *previous);
void secret_free(struct secret_pair *pair); /* wipes; NULL is allowed */

/*
 * Begins to check a request whose signature header has the value `header` (NULL: it has none). NULL with ERR_REFUSED: it can't
 * be right, whatever the body is (no header, not of its form, a wrong token); with another kind: there is no secret, or it can't
 * be used, and `err` says which file. The files are looked at once for each `turn` (loop_number()), and each time for 0: what
 * one turn takes in came at one moment. The pair must live until secret_end().
 */
struct secret_check;
struct secret_check *secret_begin(struct secret_pair *pair, const struct dialect_signature *signature, const char *header,
	uint64_t turn, struct err *err);
void secret_add(struct secret_check *check, const void *bytes, size_t length);
/* After the last byte, once. */
bool secret_good(struct secret_check *check);
void secret_end(struct secret_check *check); /* NULL is allowed */

#endif
