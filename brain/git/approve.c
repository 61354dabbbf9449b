/* approve: a signed record for exactly the commit that a proposal has now. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/jsonget.h"
#include "forge/proposal.h"
#include "git/place.h"
#include "git/reader.h"
#include "git/record.h"
#include "git/repo.h"
#include "git/signer.h"
#include "verb/verb.h"

struct request {
	const char *project, *name, *commit, *key;
};

/* Head, records and targets of the one proposal, as the server has them. */
static int fetch(struct arena *arena, const struct repo *repo, const struct place *place, const char *name, struct err *err)
{
	struct strv arguments = STRV_INIT;
	char *fetched;

	strv_pushl(&arguments, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", place->repository, NULL);
	strv_pushf(&arguments, "+refs/proposals/%s/*:refs/proposals/%s/*", name, name);
	for (const char *const *target = place->targets; *target; target++)
		strv_pushf(&arguments, "+%s:%s", *target, *target);
	const struct repo_call call = {.arguments = (const char *const *)arguments.v};
	fetched = repo_text(repo, arena, &call, NULL, err);
	strv_release(&arguments);
	return fetched ? 0 : err_wrap(err, "%s", place->repository);
}

/* The commit must be what the caller means, and still open. */
static int check(const json_t *reply, const struct request *request, struct err *err)
{
	const char *state = jsonget_string_or(reply, "state", ""), *head = jsonget_string_or(reply, "head", "");

	if (strcmp(state, "closed") == 0)
		return err_set(err, ERR_NOT_FOUND, "there is no open proposal %s", request->name);
	if (strcmp(state, "merged") == 0)
		return err_set(err, ERR_REFUSED, "%s has landed already", request->name);
	if (!jsonget_string_or(reply, "proposer", NULL))
		return err_set(err, ERR_REFUSED, "%s was not proposed by anybody who may: byoci propose makes the record that is missing",
			request->name);
	if (request->commit && strncmp(head, request->commit, strlen(request->commit)) != 0)
		return err_set(err, ERR_MOVED, "%s has the commit %.12s now, not %.64s: look at it, then approve that", request->name,
			head, request->commit);
	return 0;
}

static bool is_short_commit(const char *commit)
{
	size_t length = strspn(commit, "0123456789abcdef");

	return length >= 7 && length <= 64 && commit[length] == '\0';
}

/* What a terminal is shown of foreign text (UTF-8): no control characters, of ASCII or C1. */
static void print_plain(const char *text)
{
	for (; *text; text++) {
		unsigned char one = (unsigned char)text[0], next = (unsigned char)text[1];
		bool control = one < ' ' || one == 0x7f, c1 = one == 0xc2 && next >= 0x80 && next < 0xa0;

		putchar(control || c1 ? '?' : one);
		text += c1;
	}
}

static void say(const struct verb_call *call, const json_t *reply, const struct record *record, const char *id)
{
	if (call->json) {
		signer_say(record, id);
		return;
	}
	printf("approved %s: commit %.12s for %s, \"", record->proposal, record->commit, record->target);
	print_plain(jsonget_string_or(reply, "subject", ""));
	printf("\" by ");
	print_plain(jsonget_string_or(reply, "author_name", ""));
	printf(", proposed by ");
	print_plain(jsonget_string_or(reply, "proposer", ""));
	printf("\nnext: `byoci -n %s why %s` tells how it stands\n", call->namespace, record->proposal);
}

/* Reads the proposal with the caller's eyes: the server's refs, the signers that this host knows. */
static json_t *look(const struct verb_call *call, struct arena *arena, struct repo *repo, const struct place *place,
	const struct request *request, struct err *err)
{
	const struct reader reader = {
		.repo = repo, .place = place, .now = clock_wall_ms() / 1000, .unchecked = access(place->allowed_signers, R_OK) < 0};
	json_t *reply;

	if (signer_ssh(call->conf, arena, repo, request->key, err) < 0 || fetch(arena, repo, place, request->name, err) < 0)
		return NULL;
	reply = reader_proposal(&reader, request->name, err);
	if (reply && check(reply, request, err) == 0)
		return reply;
	json_decref(reply);
	return NULL;
}

static int approve(const struct verb_call *call, const struct request *request, struct err *err)
{
	struct arena *arena = arena_new();
	int64_t now = clock_wall_ms();
	struct record record = {.kind = RECORD_APPROVE, .proposal = request->name, .time = now / 1000, .ms = now % 1000};
	struct repo *repo = NULL, *own = NULL;
	char id[RECORD_ID_SIZE];
	struct place place;
	json_t *reply = NULL;
	struct err ignored;
	const char *key;
	int done = -1;

	own = repo_own(NULL, &ignored);
	key = signer_key(arena, own, request->key, err);
	repo = key && place_find(call->conf, arena, request->project, &place, err) == 0 ? repo_temporary(call->conf, err) : NULL;
	reply = repo ? look(call, arena, repo, &place, request, err) : NULL;
	if (!reply)
		goto err0;
	record.repository = place.identity;
	if (jsonget_string(reply, "target", &record.target, err) < 0 || jsonget_string(reply, "head", &record.commit, err) < 0)
		goto err0;
	const struct signer_push push = {.repo = repo, .address = place.repository, .key = key, .record = &record};
	if (signer_push(arena, &push, id, err) < 0)
		goto err0;
	say(call, reply, &record, id);
	done = 0;
err0:
	json_decref(reply);
	repo_close(repo);
	repo_close(own);
	arena_free(arena);
	return done;
}

int approve_verb(const struct verb_call *call)
{
	struct request request = {.project = NULL};
	const char *rest[2];
	const struct verb_option options[] = {
		{.name = "--project", .value = &request.project},
		{.name = "--commit", .value = &request.commit},
		{.name = "-k", .other = "--key", .value = &request.key},
		{.name = NULL},
	};
	struct err err;

	if (verb_options(call, options, rest, 1, &err) < 0)
		return verb_fail(call, &err);
	request.name = rest[0];
	if (!request.name || !forge_name_valid(request.name)) {
		err_set(&err, ERR_USAGE, "say the NAME of a proposal: up to 63 of a-z 0-9 . _ - that begin with a letter or digit");
		return verb_fail(call, &err);
	}
	if (request.commit && !is_short_commit(request.commit)) {
		err_set(&err, ERR_USAGE, "--commit: 7 or more hex digits of a commit id");
		return verb_fail(call, &err);
	}
	return approve(call, &request, &err) < 0 ? verb_fail(call, &err) : 0;
}
