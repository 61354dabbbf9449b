/* What the signed result of a test must say before anything is landed on the strength of it. */
#ifndef BYOCI_SLAVES_PROOF_H
#define BYOCI_SLAVES_PROOF_H

#include "forge/result.h"
#include "forge/spec.h"
#include "slaves/common/program.h"

/*
 * Verifies the line with the public keys in /etc/byoci/NAMESPACE/result-keys/SLAVE.pub (the key must be that of the slave that the
 * result names), and holds it against the spec and the root-owned configuration: this build, base, source and expected merge; every
 * job that the project requires here, successful, with the digests that job and backing have here. ERR_REFUSED with the first
 * difference. Texts are in program->arena.
 */
int proof_check(const struct program *program, const struct spec *spec, const char *line, struct result *result, struct err *err);

#endif
