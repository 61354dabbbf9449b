/*
 * The plain case of what `ssh-keygen -Y find-principals` and `-Y verify` say, without starting them: an ed25519 signature
 * (PROTOCOL.sshsig) by a key that allowed_signers (ssh-keygen(1)) has on lines of one name and no option but namespaces. Anything else
 * is left to ssh-keygen. Pure. What lands does not depend on it: the landing daemon asks ssh-keygen.
 */
#ifndef BYOCI_GIT_SSHSIG_H
#define BYOCI_GIT_SSHSIG_H

#include <stddef.h>

#include "base/arena.h"

struct sshsig {
	const char *armored, *namespace;
	const void *message;
	size_t length;
};

/* Whose good signature it is, in the arena; NULL: that can't be said here. `allowed` is the file's text. */
const char *sshsig_signer(struct arena *arena, const struct sshsig *signature, const char *allowed);

#endif
