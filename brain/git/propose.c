/* propose: a commit of the caller's clone becomes a proposal: its head and a signed record, in one atomic push. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "forge/proposal.h"
#include "forge/text.h"
#include "git/place.h"
#include "git/record.h"
#include "git/repo.h"
#include "git/signer.h"
#include "verb/verb.h"

struct request {
	const char *project, *target, *name, *message, *key, *repository, *commit;
};

/* "Feature/X y" → "feature-x-y" */
static char *name_of_branch(struct arena *arena, const char *branch)
{
	char *name = arena_strdup(arena, branch);
	size_t kept = 0;

	for (const char *c = branch; *c && kept < 63; c++) {
		char letter = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
		bool plain = (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9');

		if (!plain && !strchr("._-", letter))
			letter = '-';
		if (plain || kept > 0)
			name[kept++] = letter;
	}
	name[kept] = '\0';
	return name;
}

static const char *find_name(struct arena *arena, const struct repo *own, const struct request *request, struct err *err)
{
	const struct repo_call call = {.arguments = REPO_ARGUMENTS("symbolic-ref", "--quiet", "--short", "HEAD")};
	const char *name = request->name;
	struct err ignored;

	if (!name) {
		const char *branch = repo_text(own, arena, &call, NULL, &ignored);

		if (!branch) {
			err_set(err, ERR_USAGE, "no branch is checked out: name the proposal with --name NAME");
			return NULL;
		}
		name = name_of_branch(arena, branch);
	}
	if (forge_name_valid(name))
		return name;
	err_set(err, ERR_USAGE,
		"a proposal cannot be named \"%.80s\": up to 63 of a-z 0-9 . _ - that begin with a letter or digit; --name NAME", name);
	return NULL;
}

/* Without carriage returns, and without blanks at its end. */
static char *trimmed(char *text)
{
	size_t length = 0;

	for (const char *c = text; *c; c++)
		if (*c != '\r')
			text[length++] = *c;
	while (length > 0 && strchr(" \t\n", text[length - 1]))
		length--;
	text[length] = '\0';
	return text;
}

static const char *find_message(
	struct arena *arena, const struct repo *own, const struct request *request, const char *commit, struct err *err)
{
	const struct repo_call call = {
		.arguments = REPO_ARGUMENTS("log", "-1", "--no-show-signature", "--encoding=UTF-8", "--format=%B", commit)};
	const char *message = request->message ? request->message : repo_text(own, arena, &call, NULL, err);

	if (message && message[strspn(message, " \t\r\n")] == '\0') {
		err_set(err, ERR_USAGE, "a proposal needs a message: -m TEXT");
		return NULL;
	}
	return message ? trimmed(text_utf8(arena, message)) : NULL;
}

static const char *find_commit(struct arena *arena, const struct repo *own, const char *commit, struct err *err)
{
	const struct repo_call call = {.arguments = REPO_ARGUMENTS("rev-parse", "--verify", "--quiet", "--end-of-options",
		arena_printf(arena, "%s^{commit}", commit ? commit : "HEAD"))};
	const struct repo_call inside = {.arguments = REPO_ARGUMENTS("rev-parse", "--git-dir")};
	struct err ignored;
	const char *found;

	if (!repo_text(own, arena, &inside, NULL, &ignored)) {
		err_set(err, ERR_USAGE, "this is not a clone: go into one, or name it with --repository FOLDER");
		return NULL;
	}
	found = repo_text(own, arena, &call, NULL, &ignored);
	if (!found)
		err_set(err, ERR_USAGE, "there is no commit %s here", commit ? commit : "HEAD");
	return found;
}

/* What the record says, all but its signature. */
static int fill(struct arena *arena, const struct repo *own, const struct request *request, const struct place *place,
	struct record *record, struct err *err)
{
	int64_t now = clock_wall_ms();

	record->kind = RECORD_PROPOSE;
	record->repository = place->identity;
	record->time = now / 1000;
	record->ms = now % 1000;
	if (place_target(place, request->target, &record->target, err) < 0)
		return -1;
	record->commit = find_commit(arena, own, request->commit, err);
	if (!record->commit)
		return -1;
	record->proposal = find_name(arena, own, request, err);
	if (!record->proposal)
		return -1;
	record->message = find_message(arena, own, request, record->commit, err);
	return record->message ? 0 : -1;
}

static void say(const struct verb_call *call, const struct record *record, const char *id)
{
	if (call->json) {
		signer_say(record, id);
		return;
	}
	printf("proposed %s: commit %.12s for %s of %s\n", record->proposal, record->commit, record->target, record->repository);
	printf("next: somebody else runs `byoci -n %s approve %s`; `byoci -n %s why %s` tells how it stands\n", call->namespace,
		record->proposal, call->namespace, record->proposal);
}

static int propose(const struct verb_call *call, const struct request *request, struct err *err)
{
	struct arena *arena = arena_new();
	struct record record = {.kind = RECORD_PROPOSE};
	char id[RECORD_ID_SIZE];
	struct place place;
	struct repo *own = repo_own(request->repository, err);
	const char *key;
	int done = -1;

	if (!own || place_find(call->conf, arena, request->project, &place, err) < 0)
		goto err0;
	if (fill(arena, own, request, &place, &record, err) < 0)
		goto err0;
	key = signer_key(arena, own, request->key, err);
	if (!key || signer_ssh(call->conf, arena, own, request->key, err) < 0)
		goto err0;
	const struct signer_push push = {.repo = own, .address = place.repository, .key = key, .record = &record};
	if (signer_push(arena, &push, id, err) < 0)
		goto err0;
	say(call, &record, id);
	done = 0;
err0:
	repo_close(own);
	arena_free(arena);
	return done;
}

int propose_verb(const struct verb_call *call)
{
	struct request request = {.project = NULL};
	const char *rest[2];
	const struct verb_option options[] = {
		{.name = "--project", .value = &request.project},
		{.name = "--target", .value = &request.target},
		{.name = "--name", .value = &request.name},
		{.name = "--repository", .value = &request.repository},
		{.name = "-m", .other = "--message", .value = &request.message},
		{.name = "-k", .other = "--key", .value = &request.key},
		{.name = NULL},
	};
	struct err err;

	if (verb_options(call, options, rest, 1, &err) < 0)
		return verb_fail(call, &err);
	request.commit = rest[0];
	return propose(call, &request, &err) < 0 ? verb_fail(call, &err) : 0;
}
