/*
 * How proposals are read back: the child `byoci READER` of the project's dialect (git-read, launchpad-read: doc/INTERFACES.md), one
 * for each call. Requests and keys are made here, so that nobody else knows their form.
 */
#ifndef BYOCI_PROPOSAL_READ_H
#define BYOCI_PROPOSAL_READ_H

#include "calls/calls.h"

#define READ_PROPOSAL "forge-read"
#define READ_LIST "forge-list"

struct read_wish {
	const char *project, *name;
	const char *place;   /* forge_proposal.place; NULL or "": its name says it, or it is not known */
	const char *version; /* of the forge, as the reconciler saw it; "" unknown */
	int64_t delivery;    /* that made us ask; 0: none */
	bool pushed;         /* it says that the proposal has another commit now */
};

/* Asks for one; a wish that waits already, and begins later than now, is enough. */
int read_ask(struct brain *brain, struct arena *arena, const struct read_wish *wish, struct err *err);
/* Asks for the list of a project's proposals and targets. */
int read_ask_list(struct brain *brain, struct arena *arena, const char *project, struct err *err);

/* What a call asked for; texts in the arena. -1: not one of ours. */
int read_request(struct arena *arena, const char *request, struct read_wish *wish, struct err *err);

/* The lane of a proposal's reads, for who looks for them. */
char *read_lane(struct arena *arena, const char *project, const char *name);

/* Performers; `about` is not used. */
void read_begin(struct calls_act *act, const void *about);
void read_drop(struct calls_act *act);

#endif
