/*
 * Public ssh keys as a forge publishes them, and as an allowed_signers file has them: bytes from elsewhere, of which nothing but plain keys
 * is taken. No options, no certificates, no authorities. Pure.
 */
#ifndef BYOCI_FORGE_SSHKEY_H
#define BYOCI_FORGE_SSHKEY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

#define SSHKEY_MAXIMUM 100                 /* of one person; what comes after is not looked at */
#define SSHKEY_LENGTH ((size_t)8 * 1024)   /* bytes of a line */
#define SSHKEY_FINGERPRINT 56              /* "SHA256:" and 43 more, and a NUL */

/* "TYPE BASE64", in the arena; NULL: the line is no plain key of a type that ssh takes today. What follows the key is its comment. */
const char *sshkey_of_line(struct arena *arena, const char *line, size_t length);

/* The key of a line of ssh-keygen's ALLOWED SIGNERS that is exactly for `who`, with no option but namespaces; NULL. */
const char *sshkey_of_signer(struct arena *arena, const char *line, size_t length, const char *who);

/* All of them in `text`, NULL-ended, in the arena; `who` NULL: its lines are keys; else it is an allowed_signers file. */
const char *const *sshkey_list(struct arena *arena, const char *text, size_t length, const char *who);

/* A name on a forge that can stand in a path: [A-Za-z0-9][A-Za-z0-9._@+-]*, at most 64, without "..". */
bool sshkey_owner_valid(const char *name);

/* As ssh-keygen -l has it; of what sshkey_of_line() gave. */
void sshkey_fingerprint(struct arena *arena, const char *key, char out[static SSHKEY_FINGERPRINT]);

#endif
