/*
 * Merges made before a build asks for them: when a proposal was read back and is not built at once, the slave is asked to fetch,
 * merge and keep it ({"op":"premake"}). Best effort: nothing waits for it, and nothing is done when it fails.
 */
#ifndef BYOCI_BUILD_PREMAKE_H
#define BYOCI_BUILD_PREMAKE_H

#include "calls/brain.h"

#define PREMAKE_KIND "premake"

/* "seen" of the build stage's inbox: proposals.id. */
enum step premake_step(struct brain *brain, struct arena *arena, int64_t ref, struct err *err);

/* A proposal was pushed, as a hook says: the slave may begin to fetch and merge it while it is read back. No row, no answer. */
void premake_pushed(struct brain *brain, const char *project, const char *proposal);

/* 1: the answer was to one of ours, and is done with; 0: it was not; -1. */
int premake_answered(struct brain *brain, struct arena *arena, int64_t call, struct err *err);

#endif
