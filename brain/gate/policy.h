/* What the gate does, as pure functions over what it knows: no rows, no clock. Each says why, for people. */
#ifndef BYOCI_GATE_POLICY_H
#define BYOCI_GATE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "forge/outcome.h"

/* An item as policy sees it. */
struct policy_item {
	bool there;
	const char *state;   /* of schema.sql */
	const char *source;  /* the commit it is for */
	const char *target;
	int64_t approved;    /* seconds: its newest approval that counted */
};

/* A proposal that was just read back. */
struct policy_facts {
	const char *state;      /* "open", "merged", "closed" */
	const char *head;       /* its source commit */
	const char *target;
	bool gated;             /* the target is one of the project's gated branches */
	const char *approved;   /* the approved commit; NULL: none */
	int64_t approved_time;  /* seconds: of the newest approval that counted */
	const char *why;        /* approve_decide's words */
	const char *undecided;  /* forge_proposal.undecided */
	int64_t undecided_time;
	int64_t rejected;       /* forge_proposal.rejected: by whom is not known here, so by hand, or by a brain with other rows */
	struct policy_item live; /* in the queue now */
	struct policy_item last; /* the newest one that ended */
};

enum policy_act {
	POLICY_NOTHING,
	POLICY_QUEUE,   /* a new item */
	POLICY_REMOVE,  /* takes the live item out */
	POLICY_REPLACE, /* out, and a new one in */
	POLICY_LANDED, /* the live item's commit is on the target: it was a landing of ours whose answer got lost, or somebody else's */
	POLICY_GO,     /* it was read again and is as it was: build it */
	POLICY_REJECTED, /* the live item was rejected under its approval, and the proposal told so: it ends without a word */
	POLICY_REFUSE, /* an approval that nobody can tell the commit of: said on the proposal, once for a commit */
	POLICY_RELEASE /* a held item was approved once more: queue it again */
};

struct policy_choice {
	enum policy_act act;
	char why[512]; /* "" : not worth a decision */
};

void policy_choose(const struct policy_facts *facts, struct policy_choice *choice);

/* After a build or a landing. */
enum policy_next {
	POLICY_LAND,   /* the tests said yes */
	POLICY_DONE,   /* it is on the target */
	POLICY_REJECT, /* told to the proposal; the same commit is not tried again before a new approval */
	POLICY_REREAD, /* look at the forge again, then test again */
	POLICY_AGAIN   /* not the proposal's fault: the same once more, later */
};
enum policy_next policy_after_build(enum outcome outcome);
enum policy_next policy_after_landing(enum outcome outcome);

/* How long to wait before attempt `troubles` + 1 (from 1); -1: enough, hold the item for people. */
int64_t policy_delay_ms(int64_t troubles);

/*
 * How long a landing waits when the forge asked for `seconds`: an hour at most, and nobody's trouble. 0: it has been tried for `tried_ms`,
 * a day, and its target with it; now it is trouble like any other.
 */
int64_t policy_wait_ms(int64_t seconds, int64_t tried_ms);

/* Builds of one item, whatever they ended with: more than this and it is held. */
#define POLICY_BUILDS_MAXIMUM 20

#endif
