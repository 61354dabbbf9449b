/*
 * The proposal stage. A delivery is understood by its dialect and names proposals; each is read back from its forge (a call);
 * what that gives is the proposal's row, and the gate is told.
 *
 * Inbox: "delivery" (deliveries.id), "read" (proposals.id: read it again), "answer" (calls.id).
 */
#ifndef BYOCI_PROPOSAL_PROPOSAL_INBOX_H
#define BYOCI_PROPOSAL_PROPOSAL_INBOX_H

#include "calls/brain.h"

extern const struct brain_handler proposal_inbox_handlers[];

#endif
