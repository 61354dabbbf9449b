/*
 * Whether a build may run where nothing contains it (workers = dir): only a proposal by somebody that [project] dir.trusted names, at the
 * very commit that this person signed, approved by nobody else. The forge is read by the slave itself; the brain's word is not enough.
 */
#ifndef BYOCI_SLAVES_TRUST_H
#define BYOCI_SLAVES_TRUST_H

#include "forge/spec.h"
#include "slaves/common/program.h"

/* 1: nothing contains the workers of its job; 0: they are contained; -1. */
int trust_needed(const struct program *program, const struct spec *spec, struct err *err);

/*
 * Asks the forge, which may take its time. Workers of another kind need no trust. ERR_REFUSED, with a text for the person; ERR_MOVED when
 * it is at another commit by now.
 */
int trust_check(const struct program *program, const struct spec *spec, struct err *err);

#endif
