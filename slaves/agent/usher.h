/*
 * Whom a key opens a copy of a kept worker to. The other side is what sshd runs for somebody: its user may do nothing but ask this, and is
 * believed that whoever is there has the key. One request (a packet of JSON), one reply:
 *   {"key":"TYPE BASE64"}                → {"who":NAME}: the forge publishes it for the author of something that is kept
 *   {"key", "build":null|BUILD, "from"}  → {"who", "build", "project", "proposal", "seconds"}, and with it a connection to byoci-worker on
 *                                          which a copy waits for its shell (worker_wire.h); it is gone when that closes
 * or {"error":TEXT}. Without a build it must be clear which one is meant.
 */
#ifndef BYOCI_SLAVES_USHER_H
#define BYOCI_SLAVES_USHER_H

#include "slaves/common/program.h"

#define USHER_MAXIMUM 16384 /* bytes of a packet */

/* `byoci-slave usher`: answers on standard input, a connection of slaves/serve/doorman.h. */
int usher_verb(const struct program *program);

#endif
