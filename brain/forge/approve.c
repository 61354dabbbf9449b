#include "forge/approve.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PEOPLE 64   /* that are looked at: more are not needed by any rule */
#define REASON 120

struct people {
	const char *who[PEOPLE];
	size_t count;
};

static bool never_counts(const struct approve_criteria *criteria, const char *who)
{
	for (const char *const *never = criteria->never; never && *never; never++)
		if (strcmp(*never, who) == 0)
			return true;
	return false;
}

static bool is_among(const struct people *people, const char *who)
{
	for (size_t i = 0; i < people->count; i++)
		if (strcmp(people->who[i], who) == 0)
			return true;
	return false;
}

/* Why this approval does not count, in `reason`; NULL: it counts. */
static const char *why_not(const struct forge_proposal *proposal, const struct approve_criteria *criteria,
	const struct forge_approval *approval, char reason[static REASON])
{
	const char *who = approval->who ? approval->who : "somebody unknown";

	if (approval->why_not)
		snprintf(reason, REASON, "%.40s's does not count: %.60s", who, approval->why_not);
	else if (!approval->who)
		snprintf(reason, REASON, "one is by nobody that is known");
	else if (never_counts(criteria, who))
		snprintf(reason, REASON, "%.40s never counts", who);
	else if (!approval->commit)
		snprintf(reason, REASON, "%.40s's does not say for which commit", who);
	else if (strcmp(approval->commit, proposal->head) != 0)
		snprintf(reason, REASON, "%.40s's is for %.12s, pushed over since", who, approval->commit);
	else if (approval->time > criteria->now + APPROVE_AHEAD)
		snprintf(reason, REASON, "%.40s's is dated in the future", who);
	else if (!criteria->self && strcmp(who, proposal->proposer) == 0)
		snprintf(reason, REASON, "%.40s's own does not count (approvals.self)", who);
	else
		return NULL;
	return reason;
}

bool approve_counts(const struct forge_proposal *proposal, const struct approve_criteria *criteria,
	const struct forge_approval *approval)
{
	char reason[REASON];

	return proposal->proposer && !why_not(proposal, criteria, approval, reason);
}

/* Also keeps the reason of the newest approval that does not count: what the person who gave it will ask. */
static void count_people(const struct forge_proposal *proposal, const struct approve_criteria *criteria, struct people *people,
	char newest[static REASON])
{
	int64_t newest_time = INT64_MIN;
	char reason[REASON];

	for (size_t i = 0; i < proposal->approval_count; i++) {
		const struct forge_approval *approval = &proposal->approvals[i];

		if (why_not(proposal, criteria, approval, reason)) {
			if (approval->time >= newest_time)
				memcpy(newest, reason, REASON);
			newest_time = approval->time >= newest_time ? approval->time : newest_time;
		} else if (people->count < PEOPLE && !is_among(people, approval->who)) {
			people->who[people->count++] = approval->who;
		}
	}
}

static void say_who(const struct people *people, const char *commit, struct approve_verdict *verdict)
{
	size_t room = sizeof verdict->why;
	size_t used = (size_t)snprintf(verdict->why, room, "%.12s approved by", commit);

	for (size_t i = 0; i < people->count && used < room; i++)
		used += (size_t)snprintf(verdict->why + used, room - used, "%s %.60s", i > 0 ? "," : "", people->who[i]);
}

/* A name that was cut may end within a letter: nothing but ASCII gets out. */
static void make_plain(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

static void decide(
	const struct forge_proposal *proposal, const struct approve_criteria *criteria, struct approve_verdict *verdict)
{
	unsigned needed = criteria->needed > 0 ? criteria->needed : 1;
	struct people people = {.count = 0};
	char newest[REASON] = "";

	verdict->commit = NULL;
	if (!proposal->head || !forge_commit_valid(proposal->head)) {
		snprintf(verdict->why, sizeof verdict->why, "it has no source commit now");
		return;
	}
	if (!proposal->proposer) {
		snprintf(verdict->why, sizeof verdict->why, "nobody who may has proposed this commit: propose again, then approve again");
		return;
	}
	count_people(proposal, criteria, &people, newest);
	if (people.count >= needed) {
		verdict->commit = proposal->head;
		say_who(&people, proposal->head, verdict);
		return;
	}
	snprintf(verdict->why, sizeof verdict->why, "%zu of %u approval%s for %.12s%s%s: %s", people.count, needed,
		needed == 1 ? "" : "s", proposal->head, newest[0] ? "; " : "", newest,
		verdict->later ? "it is looked at again when that has come" : proposal->approval_count > 0 ? "approve again" : "approve it");
}

/* One that was read by another clock than ours, which was ahead or is behind. */
static int64_t first_ahead(const struct forge_proposal *proposal, const struct approve_criteria *criteria)
{
	int64_t first = 0;

	for (size_t i = 0; i < proposal->approval_count; i++) {
		int64_t when = proposal->approvals[i].time - APPROVE_AHEAD;

		if (when > criteria->now && (!first || when < first))
			first = when;
	}
	return first;
}

void approve_decide(
	const struct forge_proposal *proposal, const struct approve_criteria *criteria, struct approve_verdict *verdict)
{
	verdict->later = first_ahead(proposal, criteria);
	decide(proposal, criteria, verdict);
	if (verdict->commit)
		verdict->later = 0;
	make_plain(verdict->why);
}

int64_t approve_newest(const struct forge_proposal *proposal, const struct approve_criteria *criteria)
{
	int64_t newest = 0;

	for (size_t i = 0; i < proposal->approval_count; i++) {
		const struct forge_approval *approval = &proposal->approvals[i];

		if (approval->time > newest && approve_counts(proposal, criteria, approval))
			newest = approval->time;
	}
	return newest;
}
