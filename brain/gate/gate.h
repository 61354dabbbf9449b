/*
 * The gate: one queue for each target, at most one item of it being tested or landed at a time. Who is approved is queued,
 * what changes after its approval is taken out, what was tested is landed. The choices are in gate/policy.h.
 *
 * Inbox: "proposal" (proposals.id was read back), "unread" (proposals.id could not be), "built" (builds.id ended),
 * "landed" (landings.id ended), "wake" (items.id: its time has come).
 */
#ifndef BYOCI_GATE_GATE_H
#define BYOCI_GATE_GATE_H

#include "calls/brain.h"

extern const struct brain_handler gate_handlers[];

#endif
