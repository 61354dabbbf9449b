/*
 * What byoci reads in Launchpad's bytes, for tests in other languages: `launchpad-read event KIND` or `launchpad-read proposal`,
 * bytes on standard input; one JSON line on standard output. Status 1: {"error":…}.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "forge/approve.h"
#include "forge/dialect_launchpad.h"

#define INPUT_MAXIMUM (16 * 1024 * 1024)

static int read_input(struct buf *buf)
{
	char bytes[65536];
	size_t count;

	while ((count = fread(bytes, 1, sizeof bytes, stdin)) > 0)
		if (buf_add(buf, bytes, count) < 0)
			return -1;
	return ferror(stdin) ? -1 : 0;
}

static json_t *list(const char *const *texts)
{
	json_t *array = json_array();

	for (; texts && *texts; texts++)
		json_array_append_new(array, json_string(*texts));
	return array;
}

static json_t *read_event(struct arena *arena, const char *kind, const struct buf *body, struct err *err)
{
	struct dialect_event event;

	if (dialect_launchpad_event(arena, kind, body->data, body->length, &event, err) < 0)
		return NULL;
	return json_pack("{s:s?, s:o, s:o, s:s?}", "repository", event.repository, "proposals", list(event.proposals), "targets",
		list(event.targets), "place",
		event.proposals[0] ? dialect_launchpad_place(arena, body->data, body->length, err) : NULL);
}

static json_t *read_proposal(struct arena *arena, const struct buf *reply, struct err *err)
{
	static const char *const states[] = {[FORGE_OPEN] = "open", [FORGE_MERGED] = "merged", [FORGE_CLOSED] = "closed"};
	struct approve_criteria criteria = {.needed = 1, .now = time(NULL)};
	struct approve_verdict verdict;
	struct forge_proposal proposal;

	if (dialect_launchpad_proposal(arena, reply->data, reply->length, &proposal, err) < 0)
		return NULL;
	approve_decide(&proposal, &criteria, &verdict);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:s, s:s, s:s?}", "name", proposal.name, "url", proposal.url, "target",
		proposal.target, "head", proposal.head, "state", states[proposal.state], "proposer", proposal.proposer, "message",
		proposal.message, "why", verdict.why, "approved", verdict.commit);
}

int main(int argc, char **argv)
{
	struct arena *arena = arena_new();
	struct err err = {.kind = ERR_NONE};
	json_t *found = NULL;
	struct buf buf;
	int status;

	buf_init(&buf, INPUT_MAXIMUM);
	if (read_input(&buf) < 0 || buf.length == 0)
		err_set(&err, ERR_INPUT, "nothing, or too much, on standard input");
	else if (argc == 3 && strcmp(argv[1], "event") == 0)
		found = read_event(arena, argv[2], &buf, &err);
	else if (argc == 2 && strcmp(argv[1], "proposal") == 0)
		found = read_proposal(arena, &buf, &err);
	else
		err_set(&err, ERR_USAGE, "launchpad-read event KIND | proposal");
	status = found ? 0 : 1;
	if (!found)
		found = json_pack("{s:s}", "error", err.text);
	json_dumpf(found, stdout, JSON_COMPACT | JSON_SORT_KEYS);
	putchar('\n');
	json_decref(found);
	buf_release(&buf);
	arena_free(arena);
	return status;
}
