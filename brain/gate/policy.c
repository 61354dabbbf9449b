#include "gate/policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DELAY_FIRST_MS = 2000, TROUBLES_MAXIMUM = 6, WAIT_MAXIMUM_S = 3600, WAITS_MAXIMUM_MS = 86400000 };

static void choose(struct policy_choice *choice, enum policy_act act, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void choose(struct policy_choice *choice, enum policy_act act, const char *format, ...)
{
	va_list values;

	choice->act = act;
	va_start(values, format);
	vsnprintf(choice->why, sizeof choice->why, format, values);
	va_end(values);
}

static bool is(const char *one, const char *other)
{
	return strcmp(one, other) == 0;
}

/* Why it can be in no queue now; false: it can. */
static bool barred(const struct policy_facts *facts, char *why, size_t room)
{
	if (is(facts->state, "merged"))
		snprintf(why, room, "it is merged");
	else if (is(facts->state, "closed"))
		snprintf(why, room, "it is closed");
	else if (!facts->gated)
		snprintf(why, room, "%s is no gated branch of this project", facts->target);
	else if (!facts->approved)
		snprintf(why, room, "not approved: %s", facts->why);
	else
		return false;
	return true;
}

static void choose_without_item(const struct policy_facts *facts, struct policy_choice *choice)
{
	const struct policy_item *last = &facts->last;
	bool same = last->there && is(last->source, facts->approved) && is(last->target, facts->target);

	if (same && is(last->state, "landed"))
		choose(choice, POLICY_NOTHING, "%.12s landed already", facts->approved);
	else if ((same && is(last->state, "rejected") && facts->approved_time <= last->approved) ||
		(facts->rejected > 0 && facts->approved_time <= facts->rejected))
		choose(choice, POLICY_NOTHING, "%.12s was rejected: push a new commit, or approve it again to have it tried again",
			facts->approved);
	else
		choose(choice, POLICY_QUEUE, "queued for %s: %s", facts->target, facts->why);
}

static void choose_with_item(const struct policy_facts *facts, struct policy_choice *choice)
{
	const struct policy_item *live = &facts->live;

	if (!is(live->source, facts->approved))
		choose(choice, POLICY_REPLACE, "out of the queue: the approved commit is now %.12s and not %.12s", facts->approved,
			live->source);
	else if (!is(live->target, facts->target))
		choose(choice, POLICY_REPLACE, "out of the queue: its target is now %s and not %s", facts->target, live->target);
	else if (facts->rejected > 0 && facts->approved_time <= facts->rejected)
		choose(choice, POLICY_REJECTED, "rejected while nobody looked, as its report says: push a new commit, or approve it again");
	else if (is(live->state, "rereading"))
		choose(choice, POLICY_GO, "%s", "");
	else if (is(live->state, "held") && facts->approved_time > live->approved)
		choose(choice, POLICY_RELEASE, "queued again: approved once more");
	else
		choose(choice, POLICY_NOTHING, "%s", "");
}

/* Taken out or refused under this very approval: the proposal knows. */
static bool was_told(const struct policy_facts *facts)
{
	return facts->last.there && is(facts->last.state, "removed") && facts->last.approved >= facts->undecided_time;
}

void policy_choose(const struct policy_facts *facts, struct policy_choice *choice)
{
	char why[400];
	bool no = barred(facts, why, sizeof why);

	/* The land daemon reads the approval itself: what is under way there is its decision. */
	if (facts->live.there && is(facts->live.state, "landing"))
		choose(choice, POLICY_NOTHING, "%s", "");
	else if (facts->live.there && is(facts->state, "merged") && is(facts->head, facts->live.source) &&
		is(facts->target, facts->live.target))
		choose(choice, POLICY_LANDED, "%s", "");
	else if (no && facts->live.there)
		choose(choice, POLICY_REMOVE, "out of the queue: %s", why);
	else if (no && is(facts->state, "merged") && facts->last.there && is(facts->last.state, "landed"))
		choose(choice, POLICY_NOTHING, "%s", "");
	else if (no && facts->undecided && is(facts->state, "open") && facts->gated && !was_told(facts))
		choose(choice, POLICY_REFUSE, "%s", why);
	else if (no)
		choose(choice, POLICY_NOTHING, "%s", why);
	else if (facts->live.there)
		choose_with_item(facts, choice);
	else
		choose_without_item(facts, choice);
}

static const enum policy_next after_build[] = {
	[OUTCOME_SUCCESS] = POLICY_LAND,
	[OUTCOME_FAILURE] = POLICY_REJECT,
	[OUTCOME_CONFLICT] = POLICY_REJECT,
	[OUTCOME_NOTHING] = POLICY_REJECT,
	[OUTCOME_LANDED] = POLICY_DONE,
	[OUTCOME_MOVED] = POLICY_REREAD,
	[OUTCOME_USAGE] = POLICY_AGAIN,
	[OUTCOME_UNREACHABLE] = POLICY_AGAIN,
	[OUTCOME_INFRASTRUCTURE] = POLICY_AGAIN,
	[OUTCOME_REFUSED] = POLICY_REJECT,
	[OUTCOME_TIMEOUT] = POLICY_REJECT,
	[OUTCOME_CANCELLED] = POLICY_AGAIN,
};

static const enum policy_next after_landing[] = {
	[OUTCOME_SUCCESS] = POLICY_DONE,
	[OUTCOME_FAILURE] = POLICY_REJECT,
	[OUTCOME_CONFLICT] = POLICY_REREAD,
	[OUTCOME_NOTHING] = POLICY_REREAD,
	[OUTCOME_LANDED] = POLICY_DONE,
	[OUTCOME_MOVED] = POLICY_REREAD,
	[OUTCOME_USAGE] = POLICY_AGAIN,
	[OUTCOME_UNREACHABLE] = POLICY_AGAIN,
	[OUTCOME_INFRASTRUCTURE] = POLICY_AGAIN,
	[OUTCOME_REFUSED] = POLICY_REJECT,
	[OUTCOME_TIMEOUT] = POLICY_AGAIN,
	[OUTCOME_CANCELLED] = POLICY_AGAIN,
};

enum policy_next policy_after_build(enum outcome outcome)
{
	return after_build[outcome];
}

enum policy_next policy_after_landing(enum outcome outcome)
{
	return after_landing[outcome];
}

int64_t policy_delay_ms(int64_t troubles)
{
	return troubles > TROUBLES_MAXIMUM ? -1 : (int64_t)DELAY_FIRST_MS << (troubles - 1);
}

int64_t policy_wait_ms(int64_t seconds, int64_t tried_ms)
{
	if (seconds <= 0 || tried_ms >= WAITS_MAXIMUM_MS)
		return 0;
	if (seconds > WAIT_MAXIMUM_S)
		seconds = WAIT_MAXIMUM_S;
	return seconds * 1000 > DELAY_FIRST_MS ? seconds * 1000 : DELAY_FIRST_MS;
}
