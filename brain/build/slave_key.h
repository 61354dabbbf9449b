/* The public keys that slaves and landing daemons sign with: result-keys/SLAVE.pub of the configuration. */
#ifndef BYOCI_BUILD_SLAVE_KEY_H
#define BYOCI_BUILD_SLAVE_KEY_H

#include "base/crypto.h"
#include "calls/brain.h"

/*
 * `slave` is what somebody says whose it is, before anything is verified: this machine's (NULL too) or a [slave/NAME] of the
 * configuration, anybody else's is ERR_REFUSED. `suffix` is "" or LANDED_KEY_SUFFIX.
 */
struct crypto_key *slave_key_load(
	const struct brain *brain, struct arena *arena, const char *slave, const char *suffix, struct err *err);

#endif
