/*
 * The build stage: makes the spec of a build, has an executor run it, and believes nothing but a result line that is signed
 * with the slave's key and is about exactly that spec.
 *
 * Inbox: "asked" (builds.id), "began" and "answer" (calls.id), "unwanted" (items.id: its running build is of no use any more),
 * "seen" (premake.h).
 */
#ifndef BYOCI_BUILD_BUILD_INBOX_H
#define BYOCI_BUILD_BUILD_INBOX_H

#include "calls/brain.h"

extern const struct brain_handler build_inbox_handlers[];

#endif
