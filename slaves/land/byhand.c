#include "slaves/land/byhand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/jsonget.h"
#include "forge/spec.h"
#include "slaves/common/ending.h"
#include "slaves/common/hail.h"
#include "slaves/common/output.h"
#include "slaves/common/talk.h"

#define BYHAND_TRIES 3 /* when the target or the proposal moves while it is tested */

struct work {
	const struct program *program;
	const struct byhand *byhand;
	const char *slave, *land; /* sockets */
	int *turn;                /* to land on that target: a connection to the landing daemon; -1 */
};

/* A word for people out of a daemon's mouth: one line that no terminal and no log takes for anything else. */
static const char *shown(const struct work *work, const char *text)
{
	return output_line(work->program->arena, text, strlen(text), OUTPUT_LINE / 2);
}

int byhand_brain(const struct program *program, const char **where, struct err *err)
{
	const char *addresses[] = {program_option(program, "pages.listen", err), NULL};
	const char *url = addresses[0] ? program_option(program, "public.url", err) : NULL;

	if (!url)
		return -1;
	addresses[1] = hail_address(program->arena, url);
	for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
		struct hail hail = {.address = addresses[i], .path = "/readyz"};
		if (!addresses[i] || (i > 0 && strcmp(addresses[i], addresses[0]) == 0))
			continue;
		if (hail_ask(&hail, program->arena) == 200) {
			*where = addresses[i];
			return 1;
		}
	}
	return 0;
}

static int check_brain(const struct work *work, struct err *err)
{
	const char *where = NULL;
	int up = work->byhand->force || work->byhand->test_only ? 0 : byhand_brain(work->program, &where, err);

	if (up > 0)
		return err_set(
			err, ERR_REFUSED, "the brain is up (http://%s/readyz): it lands what is approved; --force does it all the same", where);
	return up;
}

/* The landing daemon knows who else is at work on that target. After a restart of it, ours is to be taken again. */
static int take_turn(const struct work *work, struct err *err)
{
	json_t *request;

	if (work->byhand->test_only || talk_is_held(*work->turn))
		return 0;
	if (*work->turn >= 0)
		close(*work->turn);
	request = json_pack("{s:s, s:s, s:s}", "op", "turn", "project", work->byhand->project, "target", work->byhand->target);
	*work->turn = talk_hold(work->land, request, err);
	json_decref(request);
	return *work->turn < 0 ? -1 : 0;
}

/* One that the landing daemon says is approved, as the forge shows it. */
struct approved {
	const char *proposal, *commit;
	bool rejected; /* since its newest approval */
};

/* The spec is for the commit that was approved, or it is none: a push since then is seen here, and again before it is landed. */
static int check_pin(const struct work *work, const json_t *json, const char *approved, struct err *err)
{
	struct spec spec;

	if (spec_parse(work->program->arena, json, &spec, err) < 0)
		return -1;
	if (strcmp(spec.trees[0].merges[0].source, approved) != 0 || strcmp(spec.target, work->byhand->target) != 0)
		return err_set(err, ERR_MOVED, "it has changed since it was approved: approve it again");
	return 0;
}

static json_t *draft(const struct work *work, const char *proposal, struct err *err)
{
	json_t *request = json_pack("{s:s, s:s, s:s}", "op", "draft", "project", work->byhand->project, "proposal", proposal);
	json_t *reply = talk_ask(work->land, request, TALK_LAND_MS, err);
	json_t *spec = NULL;

	json_decref(request);
	if (reply && jsonget_object(reply, "spec", &spec, err) == 0)
		json_incref(spec);
	json_decref(reply);
	return spec;
}

static int test(const struct work *work, json_t *spec, struct talk_following *following, struct err *err)
{
	json_t *request = json_pack("{s:s, s:O}", "op", "start", "spec", spec);
	json_t *reply = talk_ask_patiently(work->slave, request, TALK_REPLY_MS, err);

	json_decref(request);
	if (!reply)
		return -1;
	json_decref(reply);
	*following = (struct talk_following){
		.socket = work->slave, .build = jsonget_string_or(spec, "build", ""), .arena = work->program->arena};
	return talk_follow(following, err) < 0 ? -1 : 0;
}

/* How it ended, and in which words. */
struct end {
	enum outcome outcome;
	const char *what, *reason, *merge;
};

static int land(const struct work *work, json_t *spec, const char *line, struct end *end, struct err *err)
{
	json_t *request = json_pack("{s:s, s:O, s:s}", "op", "land", "spec", spec, "result", line);
	json_t *reply = talk_ask(work->land, request, TALK_LAND_MS, err);
	const char *merge = jsonget_string_or(reply, "merge", NULL);
	int done = -1;

	json_decref(request);
	if (!reply)
		return -1;
	if (outcome_from_word(jsonget_string_or(reply, "outcome", ""), &end->outcome)) {
		end->what = "landing";
		end->reason = arena_strdup(work->program->arena, jsonget_string_or(reply, "reason", ""));
		end->merge = merge ? arena_strdup(work->program->arena, merge) : end->merge;
		done = 0;
	} else {
		err_set(err, ERR_SYSTEM, "the land daemon answered without an outcome");
	}
	json_decref(reply);
	return done;
}

static int report(const struct work *work, const char *proposal, const char *approved, const struct end *end, struct err *err)
{
	bool landed = end->outcome == OUTCOME_SUCCESS || end->outcome == OUTCOME_LANDED;
	struct arena *arena = work->program->arena;
	const char *text = landed
		? arena_printf(arena, "%.12s landed on %s as %s.\n\nLanded by hand.\n", approved, work->byhand->target, end->merge)
		: arena_printf(arena, "%.12s was not landed. The %s ended with: %s%s%s.\n\nTested by hand.\n", approved, end->what,
			  outcome_word(end->outcome), *end->reason ? ": " : "", shown(work, end->reason));
	json_t *request = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:s}", "op", "report", "project", work->byhand->project, "proposal",
		proposal, "kind", landed ? "landed" : "rejected", "approved", approved, "merge", end->merge, "text", text);
	json_t *reply = request ? talk_ask(work->land, request, TALK_LAND_MS, err) : NULL;
	const char *word = jsonget_string_or(reply, "outcome", "");
	int done = reply ? 0 : -1;

	if (reply && strcmp(word, outcome_word(OUTCOME_SUCCESS)) != 0)
		done = err_set(err, ERR_SYSTEM, "the report ended with %s: %s", word, jsonget_string_or(reply, "reason", ""));
	json_decref(reply);
	json_decref(request);
	return done;
}

static int test_and_land(const struct work *work, const struct approved *approved, struct end *end, struct err *err)
{
	struct talk_following following;
	json_t *spec = draft(work, approved->proposal, err);
	int done = spec ? check_pin(work, spec, approved->commit, err) : -1;

	if (done == 0)
		done = test(work, spec, &following, err);
	if (done == 0) {
		end->outcome = following.outcome;
		end->merge = ending_merge(work->program->arena, following.line);
		end->reason = ending_reason(work->program->arena, following.line);
		if (following.outcome == OUTCOME_SUCCESS && !work->byhand->test_only)
			done = take_turn(work, err) < 0 ? -1 : land(work, spec, following.line, end, err);
	}
	json_decref(spec);
	return done < 0 ? -1 : 0;
}

/* What the proposal itself is to blame for, or is glad of; the rest is for who ran this. */
static bool worth_telling(enum outcome outcome)
{
	return outcome == OUTCOME_SUCCESS || outcome == OUTCOME_LANDED || outcome == OUTCOME_FAILURE || outcome == OUTCOME_CONFLICT ||
		outcome == OUTCOME_TIMEOUT || outcome == OUTCOME_REFUSED;
}

static enum outcome failed(const struct work *work, const char *proposal, const struct err *err)
{
	fprintf(stderr, "byoci-slave land-approved: %s: %s\n", shown(work, proposal), shown(work, err->text));
	return ending_of_error(err);
}

static void print(const struct work *work, const struct approved *approved, const char *word, const char *why)
{
	printf("%s %s: %s%s%s\n", shown(work, approved->proposal), shown(work, approved->commit), word, *why ? ": " : "", shown(work, why));
	fflush(stdout);
}

static enum outcome one(const struct work *work, const struct approved *approved)
{
	struct end end = {.outcome = OUTCOME_MOVED};
	struct err err = {0};
	int done = 0;

	for (int i = 0; i < BYHAND_TRIES && done == 0 && end.outcome == OUTCOME_MOVED; i++) {
		end = (struct end){.what = "build", .reason = ""};
		done = test_and_land(work, approved, &end, &err);
	}
	if (done < 0)
		return failed(work, approved->proposal, &err);
	print(work, approved, outcome_word(end.outcome), end.reason);
	if (!work->byhand->test_only && worth_telling(end.outcome) && report(work, approved->proposal, approved->commit, &end, &err) < 0)
		fprintf(stderr, "byoci-slave land-approved: %s: the proposal could not be told: %s\n", shown(work, approved->proposal),
			shown(work, err.text));
	return end.outcome;
}

/* True: there was one. Whether it is approved nobody knows; the others are no worse for it. */
static bool tell_unread(const struct work *work, const json_t *list)
{
	const json_t *value;
	size_t i;

	json_array_foreach(list, i, value)
		fprintf(stderr, "byoci-slave land-approved: %s: left out, for it cannot be read: %s; mend it or take it back, then run it again\n",
			shown(work, jsonget_string_or(value, "proposal", "")), shown(work, jsonget_string_or(value, "reason", "")));
	return json_array_size(list) > 0;
}

static int all(const struct work *work, const json_t *list)
{
	enum outcome first = OUTCOME_NOTHING;
	struct err err = {0};
	json_t *value;
	size_t i;

	json_array_foreach(list, i, value) {
		const struct approved approved = {.proposal = jsonget_string_or(value, "proposal", ""),
			.commit = jsonget_string_or(value, "commit", ""), .rejected = jsonget_boolean_or(value, "rejected", false)};
		if (i > 0 && (check_brain(work, &err) < 0 || take_turn(work, &err) < 0)) {
			failed(work, approved.proposal, &err);
			break;
		}
		if (approved.rejected && work->byhand->pass && !work->byhand->force) {
			print(work, &approved, "passed over", "it was rejected; it wants another commit, or to be approved again");
			continue;
		}
		enum outcome outcome = one(work, &approved);
		if (first == OUTCOME_NOTHING || first == OUTCOME_SUCCESS)
			first = outcome == OUTCOME_LANDED ? OUTCOME_SUCCESS : outcome;
		if (work->byhand->one)
			break;
	}
	return outcome_exit(first);
}

int byhand_land_approved(const struct program *program, const struct byhand *byhand, bool *unread)
{
	static const char heads[] = "refs/heads/";
	struct byhand full = *byhand;
	int turn = -1, done = -1;
	struct work work = {.program = program, .byhand = &full, .turn = &turn};
	struct err err = {0};
	json_t *request = NULL, *reply = NULL, *list = NULL;

	*unread = false;
	if (strncmp(byhand->target, "refs/", 5) != 0)
		full.target = arena_printf(program->arena, "%s%s", heads, byhand->target);
	work.slave = program_option(program, "slave.socket", &err);
	work.land = work.slave ? program_option(program, "land.socket", &err) : NULL;
	if (!work.land || check_brain(&work, &err) < 0 || take_turn(&work, &err) < 0)
		goto err0;
	request = json_pack("{s:s, s:s, s:s}", "op", "approved", "project", full.project, "target", full.target);
	reply = request ? talk_ask(work.land, request, TALK_LAND_MS, &err) : NULL;
	if (reply && jsonget_array(reply, "approved", &list, &err) == 0) {
		*unread = tell_unread(&work, json_object_get(reply, "unread"));
		done = all(&work, list);
	}
err0:
	if (turn >= 0)
		close(turn);
	json_decref(reply);
	json_decref(request);
	if (done < 0) {
		fprintf(stderr, "byoci-slave land-approved: %s\n", shown(&work, err.text));
		return outcome_exit(ending_of_error(&err));
	}
	return done;
}
