/* What sshd runs for somebody who wants to look at a copy of a kept worker: see slaves/agent/usher.h. */
#ifndef BYOCI_SLAVES_GUEST_H
#define BYOCI_SLAVES_GUEST_H

#include "slaves/common/program.h"

/*
 * `byoci-slave author-key TYPE BASE64`, sshd's AuthorizedKeysCommand: prints a line for sshd, or nothing when that key opens nothing.
 * 0 either way: there is nobody to read a reason.
 */
int guest_key(const struct program *program, const char *type, const char *base64);

/* `byoci-slave author TYPE BASE64`, the key's forced command: a shell in a copy of the build that SSH_ORIGINAL_COMMAND names. */
int guest_verb(const struct program *program, const char *type, const char *base64);

#endif
