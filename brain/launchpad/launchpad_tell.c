/*
 * launchpad-tell: what became of a merge proposal, put there once: a comment with a marker that counts only when it is by us, and a
 * status. Each step is decided by what the forge has now, so that an answer that was lost doubles nothing; what a request that took
 * effect late doubled all the same is removed, then or the next time that the proposal is told something.
 * deleteContent: lp/services/messages/interfaces/message.py IMessageEdit, for the comment's author alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crash.h"
#include "base/jsonget.h"
#include "forge/launchpad.h"
#include "forge/marker.h"
#include "forge/proposal.h"
#include "launchpad/launchpad_site.h"
#include "verb/verb.h"

#define NODES 1000
#define INPUT_MAXIMUM ((size_t)512 * 1024)
#define ROUNDS 8         /* of looking and doing what is missing */
#define DOUBTFUL_MS 1500 /* after which a comment that was doubtful is looked for */
#define MARK "[byoci "   /* and the marker and "]": the last line of a comment of ours */

struct telling {
	struct launchpad_site site;
	const char *what;
	const char *kind, *approved, *merge, *text, *marker; /* merge may be NULL */
	bool doubtful;    /* a comment may have been made all the same */
	bool keeps_twins; /* they can't be removed */
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

static const char *content_of(const json_t *comment)
{
	return jsonget_string_or(comment, "content", jsonget_string_or(comment, "message_body", ""));
}

static bool is_own(const struct telling *telling, const json_t *comment)
{
	return launchpad_site_is_own(&telling->site, launchpad_site_person(jsonget_string_or(comment, "author_link", NULL)));
}

/* The marker that a comment of ours ends with; NULL: it is none of those. In the arena. */
static const char *marker_of(const struct telling *telling, const json_t *comment)
{
	char *text = arena_strdup(telling->site.arena, content_of(comment)), *at;
	size_t length = strlen(text);

	while (length > 0 && strchr(" \t\r\n", text[length - 1]))
		text[--length] = '\0';
	at = strrchr(text, '[');
	if (!is_own(telling, comment) || !at || strncmp(at, MARK, strlen(MARK)) != 0 || jsonget_string_or(comment, "vote", NULL))
		return NULL;
	at += strlen(MARK);
	length = strspn(at, "0123456789abcdef");
	return length == MARKER_SIZE - 1 && strcmp(at + length, "]") == 0 ? arena_printf(telling->site.arena, "%.*s", (int)length, at) : NULL;
}

/* What the comments say. */
struct told {
	bool there;       /* ours is */
	const char *twin; /* the address of one of ours that an earlier one says already; NULL: there is none */
};

static void look_at(const struct telling *telling, const json_t *comments, struct told *told)
{
	json_t *first = json_object(); /* marker → number of its first comment */
	const json_t *comment;
	size_t i;

	json_array_foreach(comments, i, comment) {
		const char *marker = marker_of(telling, comment), *link = jsonget_string_or(comment, "self_link", NULL);
		int64_t number = jsonget_integer_or(comment, "id", 0);

		told->there |= is_own(telling, comment) && strstr(content_of(comment), telling->marker);
		if (!marker || !link)
			continue;
		if (!json_object_get(first, marker))
			json_object_set_new(first, marker, json_integer(number));
		else if (number > json_integer_value(json_object_get(first, marker)))
			told->twin = arena_strdup(telling->site.arena, link);
	}
	json_decref(first);
}

static int by_number(const void *one, const void *other)
{
	int64_t a = jsonget_integer_or(*(json_t *const *)one, "id", 0), b = jsonget_integer_or(*(json_t *const *)other, "id", 0);

	return a < b ? -1 : a > b;
}

/* The oldest first. */
static json_t *sorted(struct arena *arena, json_t *comments)
{
	size_t count = json_array_size(comments);
	json_t **list = arena_alloc(arena, (count + 1) * sizeof *list), *result = json_array();

	for (size_t i = 0; i < count; i++)
		list[i] = json_array_get(comments, i);
	qsort(list, count, sizeof *list, by_number);
	for (size_t i = 0; i < count; i++)
		json_array_append(result, list[i]);
	json_decref(comments);
	return result;
}

static int look(const struct telling *telling, const json_t *entry, struct told *told, struct err *err)
{
	const char *link = jsonget_string_or(entry, "all_comments_collection_link", NULL);
	json_t *comments = link ? launchpad_rest_all(telling->site.rest, link, err) : NULL;

	if (!comments)
		return link ? -1 : err_set(err, ERR_INPUT, "all_comments_collection_link: missing");
	comments = sorted(telling->site.arena, comments);
	look_at(telling, comments, told);
	json_decref(comments);
	CRASH_POINT("tell.looked");
	return 0;
}

/* Its text goes; that there was a comment stays, and what Launchpad mailed. Who may not do that leaves it. */
static int remove_twin(struct telling *telling, const char *link, struct err *err)
{
	int done = launchpad_rest_call(telling->site.rest, link, "deleteContent", NULL, err);

	CRASH_POINT("tell.twin-removed");
	if (done == 0 || err->kind == ERR_NETWORK || err->kind == ERR_MOVED)
		return done;
	fprintf(stderr, "byoci launchpad-tell: a comment that is there twice stays: %s\n", err->text);
	err_clear(err);
	telling->keeps_twins = true;
	return 0;
}

static int comment(struct telling *telling, const char *link, struct err *err)
{
	const char *content = arena_printf(telling->site.arena, "%s\n" MARK "%s]\n", telling->text, telling->marker);
	const struct launchpad_rest_value values[] = {
		{.name = "subject", .value = arena_printf(telling->site.arena, "byoci: %s", telling->kind)},
		{.name = "content", .value = content}, {.name = NULL}};
	int done = launchpad_rest_call(telling->site.rest, link, "createComment", values, err);

	telling->doubtful |= done < 0;
	CRASH_POINT("tell.commented");
	return done;
}

static int set_status(const struct telling *telling, const char *link, const char *status, struct err *err)
{
	int done;
	bool merged = strcmp(status, "Merged") == 0;
	const struct launchpad_rest_value values[] = {{.name = "status", .value = status, .choice = true},
		{.name = "revid", .value = merged ? telling->merge : NULL}, {.name = NULL}};

	done = launchpad_rest_call(telling->site.rest, link, "setStatus", values, err);
	CRASH_POINT("tell.status-set");
	return done;
}

/* 1: all of it is there; 0: something was done that is to be looked at; -1. */
static int one_act(struct telling *telling, const json_t *entry, struct err *err)
{
	const char *status = wanted_status(telling, entry), *link = jsonget_string_or(entry, "self_link", "");
	struct told told = {.there = false};

	if (look(telling, entry, &told, err) < 0)
		return -1;
	if (!told.there)
		return comment(telling, link, err);
	if (told.twin && !telling->keeps_twins)
		return remove_twin(telling, told.twin, err);
	return status ? set_status(telling, link, status, err) : 1;
}

static int one_round(struct telling *telling, struct err *err)
{
	json_t *entry = launchpad_site_proposal(&telling->site, telling->what, err);
	int done = entry ? one_act(telling, entry, err) : -1;

	json_decref(entry);
	return done;
}

/* Whether it may have happened all the same, or may work with what is there now. */
static bool is_passing(const struct err *err)
{
	return (err->kind == ERR_NETWORK && !err->wait) || err->kind == ERR_MOVED;
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* 1: all of it is there. 0: it is not to be seen yet. -1. */
static int rounds(struct telling *telling, struct err *err)
{
	for (int round = 0; round < ROUNDS; round++) {
		err_clear(err);
		int done = one_round(telling, err);
		if (done > 0 || (done < 0 && !is_passing(err)))
			return done;
		if (done < 0)
			pause_ms(200L << (round > 2 ? 2 : round));
	}
	return err->kind == ERR_NONE ? 0 : -1;
}

/* A comment that was doubtful may still come: it is looked for once more. */
static int tell(struct telling *telling, struct err *err)
{
	int done = rounds(telling, err);

	if (done > 0 && telling->doubtful) {
		pause_ms(DOUBTFUL_MS);
		done = rounds(telling, err);
	}
	if (done > 0) {
		CRASH_POINT("tell.told");
		return 0;
	}
	if (done == 0)
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
