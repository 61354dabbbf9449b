/*
 * launchpad-tell: what became of a merge proposal, put there once: a comment with a marker that counts only when it is by us, and a
 * status. Each step is decided by what the forge has now, so that an answer that was lost doubles nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/jsonget.h"
#include "ctl/launchpad_site.h"
#include "ctl/verb.h"
#include "forge/launchpad.h"
#include "forge/marker.h"
#include "forge/proposal.h"

#define NODES 1000
#define INPUT_MAXIMUM ((size_t)512 * 1024)
#define ROUNDS 5 /* of looking and doing what is missing */

struct telling {
	struct launchpad_site site;
	const char *what;
	const char *kind, *approved, *merge, *text, *marker; /* merge may be NULL */
};

/* What the proposal is to be then; NULL: its status is left alone. */
static const char *wanted_status(const struct telling *telling, const json_t *entry)
{
	const char *now = jsonget_string_or(entry, "queue_status", ""), *revision = jsonget_string_or(entry, "reviewed_revid", NULL);

	if (strcmp(telling->kind, "landed") == 0)
		return strcmp(now, "Merged") == 0 ? NULL : "Merged";
	if (strcmp(telling->kind, "rejected") != 0 || strcmp(now, "Approved") != 0)
		return NULL;
	return revision && strcmp(revision, telling->approved) != 0 ? NULL : "Needs review"; /* it was approved anew meanwhile */
}

static bool is_marked(const struct telling *telling, const json_t *comment)
{
	const char *author = launchpad_site_person(jsonget_string_or(comment, "author_link", NULL));

	return launchpad_site_is_own(&telling->site, author) &&
		strstr(jsonget_string_or(comment, "content", jsonget_string_or(comment, "message_body", "")), telling->marker);
}

/* 1: our comment is there; 0: not; -1. */
static int is_told(const struct telling *telling, const json_t *entry, struct err *err)
{
	const char *link = jsonget_string_or(entry, "all_comments_collection_link", NULL);
	json_t *comments = link ? launchpad_rest_all(telling->site.rest, link, err) : NULL, *comment;
	int told = 0;
	size_t i;

	if (!comments)
		return link ? -1 : err_set(err, ERR_INPUT, "all_comments_collection_link: missing");
	json_array_foreach(comments, i, comment)
		told |= is_marked(telling, comment);
	json_decref(comments);
	return told;
}

static int comment(const struct telling *telling, const char *link, struct err *err)
{
	const char *content = arena_printf(telling->site.arena, "%s\n[byoci %s]\n", telling->text, telling->marker);
	const struct launchpad_rest_value values[] = {
		{.name = "subject", .value = arena_printf(telling->site.arena, "byoci: %s", telling->kind)},
		{.name = "content", .value = content}, {.name = NULL}};

	return launchpad_rest_call(telling->site.rest, link, "createComment", values, err);
}

static int set_status(const struct telling *telling, const char *link, const char *status, struct err *err)
{
	bool merged = strcmp(status, "Merged") == 0;
	const struct launchpad_rest_value values[] = {{.name = "status", .value = status, .choice = true},
		{.name = "revid", .value = merged ? telling->merge : NULL}, {.name = NULL}};

	return launchpad_rest_call(telling->site.rest, link, "setStatus", values, err);
}

/* 1: all of it is there; 0: something was done that is to be looked at; -1. */
static int one_round(const struct telling *telling, struct err *err)
{
	json_t *entry = launchpad_site_proposal(&telling->site, telling->what, err);
	const char *status = NULL, *link = jsonget_string_or(entry, "self_link", "");
	int done = -1;

	if (!entry)
		return -1;
	done = is_told(telling, entry, err);
	if (done == 0) {
		done = comment(telling, link, err);
	} else if (done > 0 && (status = wanted_status(telling, entry))) {
		done = set_status(telling, link, status, err);
	}
	json_decref(entry);
	return done;
}

/* Whether it may have happened all the same, or may work with what is there now. */
static bool is_passing(const struct err *err)
{
	return (err->kind == ERR_NETWORK && !err->wait) || err->kind == ERR_MOVED;
}

static int tell(const struct telling *telling, struct err *err)
{
	for (int round = 0; round < ROUNDS; round++) {
		const struct timespec pause = {.tv_nsec = 200000000L << (round > 2 ? 2 : round)};

		err_clear(err);
		int done = one_round(telling, err);
		if (done > 0)
			return 0;
		if (done < 0 && !is_passing(err))
			return -1;
		if (done < 0)
			nanosleep(&pause, NULL);
	}
	if (err->kind == ERR_NONE)
		err_set(err, ERR_SYSTEM, "%s: Launchpad took what it was told, and does not show it", telling->what);
	return -1;
}

static int read_report(struct telling *telling, struct err *err)
{
	struct buf input;
	char bytes[4096];
	ssize_t length;
	json_t *json = NULL;
	int done = -1;

	buf_init(&input, INPUT_MAXIMUM);
	while ((length = read(STDIN_FILENO, bytes, sizeof bytes)) > 0)
		if (buf_add(&input, bytes, (size_t)length) < 0)
			break;
	json = jsonget_parse(input.data ? input.data : "", input.length, NODES, err);
	if (!json || jsonget_string(json, "kind", &telling->kind, err) < 0 || jsonget_string(json, "approved", &telling->approved, err) < 0 ||
		jsonget_string(json, "text", &telling->text, err) < 0 || jsonget_string(json, "marker", &telling->marker, err) < 0)
		goto err0;
	telling->merge = jsonget_string_or(json, "merge", NULL);
	if (strlen(telling->marker) != MARKER_SIZE - 1 || !forge_commit_valid(telling->approved)) {
		err_set(err, ERR_INPUT, "marker, approved: not of their form");
		goto err0;
	}
	telling->kind = arena_strdup(telling->site.arena, telling->kind);
	telling->approved = arena_strdup(telling->site.arena, telling->approved);
	telling->merge = arena_strdup(telling->site.arena, telling->merge);
	telling->text = arena_strdup(telling->site.arena, telling->text);
	telling->marker = arena_strdup(telling->site.arena, telling->marker);
	done = 0;
err0:
	json_decref(json);
	buf_release(&input);
	return done;
}

static int tell_it(const struct verb_call *call, const char *project, const char *what, struct err *err)
{
	struct telling telling = {.what = what};
	int done = -1;

	if (launchpad_site_open(call->conf, project, &telling.site, err) < 0)
		return -1;
	launchpad_rest_anew(telling.site.rest);
	if (!telling.site.own || !telling.site.own[0])
		err_set(err, ERR_CONFIG, "[account/%s] own.names: say under which name byoci comments there", telling.site.place.account);
	else if (read_report(&telling, err) == 0)
		done = tell(&telling, err);
	launchpad_site_close(&telling.site);
	return done;
}

int launchpad_tell_verb(const struct verb_call *call)
{
	const char *project = NULL, *rest[2];
	const struct verb_option options[] = {{.name = "--project", .value = &project}, {.name = NULL}};
	struct err err = {.kind = ERR_NONE};

	if (verb_options(call, options, rest, 1, &err) < 0 || launchpad_site_check(rest[0], &err) < 0 ||
		tell_it(call, project, rest[0], &err) < 0)
		return verb_fail(call, &err);
	return 0;
}
