#include "forge/dialect_git.h"

#include <string.h>

#include "base/jsonget.h"

#define PROPOSALS "refs/proposals/"
#define HEADS "refs/heads/"
#define REPORTS "/reports/"
#define HEAD "/head"
#define NODES (64 * 1024) /* values in one JSON text */

char *dialect_git_proposal_of(struct arena *arena, const char *ref)
{
	const char *name = ref + strlen(PROPOSALS);
	size_t length;
	char *copy;

	if (strncmp(ref, PROPOSALS, strlen(PROPOSALS)) != 0)
		return NULL;
	length = strcspn(name, "/");
	if (name[length] != '/')
		return NULL;
	copy = arena_memdup(arena, name, length);
	return forge_name_valid(copy) ? copy : NULL;
}

static void add_once(const char **texts, size_t *count, const char *text)
{
	for (size_t i = 0; i < *count; i++)
		if (strcmp(texts[i], text) == 0)
			return;
	texts[(*count)++] = text;
}

/* Reports are the landing account's own: nothing to read back for them. */
static int sort_refs(struct arena *arena, const json_t *refs, struct dialect_event *event, struct err *err)
{
	size_t size = json_array_size(refs), proposal_count = 0, target_count = 0, pushed_count = 0;
	const char **proposals, **targets, **pushed;

	if (size > DIALECT_GIT_REFS)
		return err_set(err, ERR_INPUT, "refs: %zu of them, over %d", size, DIALECT_GIT_REFS);
	proposals = arena_alloc(arena, (size + 1) * sizeof *proposals);
	targets = arena_alloc(arena, (size + 1) * sizeof *targets);
	pushed = arena_alloc(arena, (size + 1) * sizeof *pushed);
	for (size_t i = 0; i < size; i++) {
		const char *ref, *name;

		if (jsonget_string(json_array_get(refs, i), "ref", &ref, err) < 0)
			return err_wrap(err, "refs[%zu]", i);
		if (strncmp(ref, HEADS, strlen(HEADS)) == 0) {
			add_once(targets, &target_count, arena_strdup(arena, ref));
			continue;
		}
		name = dialect_git_proposal_of(arena, ref);
		if (name && strncmp(ref + strlen(PROPOSALS) + strlen(name), REPORTS, strlen(REPORTS)) != 0)
			add_once(proposals, &proposal_count, name);
		if (name && strcmp(ref + strlen(PROPOSALS) + strlen(name), HEAD) == 0)
			add_once(pushed, &pushed_count, name);
	}
	event->proposals = proposals;
	event->targets = targets;
	event->pushed = pushed;
	return 0;
}

int dialect_git_event(
	struct arena *arena, const char *kind, const void *body, size_t length, struct dialect_event *event, struct err *err)
{
	struct dialect_event found = {.repository = NULL};
	const char *repository;
	json_t *json, *refs;
	int done = -1;

	if (strcmp(kind, "push") != 0)
		return err_set(err, ERR_INPUT, "an event of another kind than push");
	json = jsonget_parse(body, length, NODES, err);
	if (!json)
		return -1;
	if (jsonget_string(json, "repository", &repository, err) < 0 || jsonget_array(json, "refs", &refs, err) < 0)
		goto err0;
	if (sort_refs(arena, refs, &found, err) < 0)
		goto err0;
	found.repository = arena_strdup(arena, repository);
	*event = found;
	done = 0;
err0:
	json_decref(json);
	return done;
}

static const char *const state_words[] = {[FORGE_OPEN] = "open", [FORGE_MERGED] = "merged", [FORGE_CLOSED] = "closed"};

static int read_state(const json_t *json, enum forge_state *state, struct err *err)
{
	const char *word;

	if (jsonget_string(json, "state", &word, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof state_words / sizeof state_words[0]; i++)
		if (strcmp(word, state_words[i]) == 0) {
			*state = (enum forge_state)i;
			return 0;
		}
	return err_set(err, ERR_INPUT, "state: must be open, merged or closed");
}

static int copy_text(struct arena *arena, const json_t *json, const char *key, const char **to, struct err *err)
{
	const char *text;

	if (jsonget_string(json, key, &text, err) < 0)
		return -1;
	*to = arena_strdup(arena, text);
	return 0;
}

static int copy_commit(
	struct arena *arena, const json_t *json, const char *key, bool may_be_empty, const char **to, struct err *err)
{
	if (copy_text(arena, json, key, to, err) < 0)
		return -1;
	if (!forge_commit_valid(*to) && !(may_be_empty && **to == '\0'))
		return err_set(err, ERR_INPUT, "%s: must be a commit id", key);
	return 0;
}

static int read_approval(
	struct arena *arena, const json_t *record, const char *target, struct forge_approval *approval, struct err *err)
{
	const char *who = jsonget_string_or(record, "who", NULL);
	const char *given_for = jsonget_string_or(record, "target", "");

	if (copy_commit(arena, record, "commit", true, &approval->commit, err) < 0)
		return -1;
	if (jsonget_integer(record, "time", &approval->time, err) < 0)
		return -1;
	approval->who = arena_strdup(arena, who);
	approval->why_not = arena_strdup(arena, jsonget_string_or(record, "why_not", NULL));
	if (approval->commit[0] == '\0')
		approval->commit = NULL;
	if (!approval->why_not && strcmp(given_for, target) != 0)
		approval->why_not =
			arena_printf(arena, "it is for %s", *given_for && strlen(given_for) <= 200 ? given_for : "another target");
	return 0;
}

static int read_approvals(struct arena *arena, const json_t *json, struct forge_proposal *proposal, struct err *err)
{
	json_t *records;
	size_t size;

	if (jsonget_array(json, "records", &records, err) < 0)
		return -1;
	size = json_array_size(records);
	if (size > DIALECT_GIT_RECORDS)
		return err_set(err, ERR_INPUT, "records: %zu of them, over %d", size, DIALECT_GIT_RECORDS);
	proposal->approvals = arena_alloc(arena, (size + 1) * sizeof *proposal->approvals);
	for (size_t i = 0; i < size; i++) {
		const json_t *record = json_array_get(records, i);
		const char *kind;

		if (jsonget_string(record, "kind", &kind, err) < 0)
			return err_wrap(err, "records[%zu]", i);
		if (strcmp(kind, "approve") != 0)
			continue;
		if (read_approval(arena, record, proposal->target, &proposal->approvals[proposal->approval_count], err) < 0)
			return err_wrap(err, "records[%zu]", i);
		proposal->approval_count++;
	}
	return 0;
}

/* What must be there whatever the state. */
static int read_place(struct arena *arena, const json_t *json, struct forge_proposal *proposal, struct err *err)
{
	if (copy_text(arena, json, "proposal", &proposal->name, err) < 0 ||
		copy_text(arena, json, "repository", &proposal->repository, err) < 0)
		return -1;
	if (copy_text(arena, json, "url", &proposal->url, err) < 0 || copy_text(arena, json, "target", &proposal->target, err) < 0)
		return -1;
	if (!forge_name_valid(proposal->name))
		return err_set(err, ERR_INPUT, "proposal: must be the name of one");
	if (strncmp(proposal->target, HEADS, strlen(HEADS)) != 0)
		return err_set(err, ERR_INPUT, "target: must be a ref in " HEADS);
	return read_state(json, &proposal->state, err);
}

static int read_commits(struct arena *arena, const json_t *json, struct forge_proposal *proposal, struct err *err)
{
	bool closed = proposal->state == FORGE_CLOSED;

	if (copy_commit(arena, json, "target_tip", closed, &proposal->target_tip, err) < 0)
		return -1;
	if (copy_commit(arena, json, "head", closed, &proposal->head, err) < 0)
		return -1;
	if (jsonget_integer(json, "target_time", &proposal->target_time, err) < 0 ||
		jsonget_integer(json, "head_time", &proposal->head_time, err) < 0)
		return -1;
	if (copy_text(arena, json, "author_name", &proposal->author_name, err) < 0)
		return -1;
	return copy_text(arena, json, "author_email", &proposal->author_email, err);
}

/* What readings of before did not have. */
static int read_merge(struct arena *arena, const json_t *json, struct forge_proposal *proposal, struct err *err)
{
	const char *merge = jsonget_string_or(json, "merge", NULL);

	proposal->rejected = jsonget_integer_or(json, "rejected", 0);
	if (!merge)
		return 0;
	if (!forge_commit_valid(merge))
		return err_set(err, ERR_INPUT, "merge: must be a commit id");
	proposal->merge = arena_strdup(arena, merge);
	return 0;
}

static int read_words(struct arena *arena, const json_t *json, struct forge_proposal *proposal, struct err *err)
{
	proposal->proposer = arena_strdup(arena, jsonget_string_or(json, "proposer", NULL));
	if (copy_text(arena, json, "message", &proposal->message, err) < 0)
		return -1;
	if (strlen(proposal->message) > DIALECT_GIT_MESSAGE)
		return err_set(err, ERR_INPUT, "message: over %d bytes", DIALECT_GIT_MESSAGE);
	if (proposal->message[strspn(proposal->message, " \t\r\n")] == '\0')
		proposal->message = arena_printf(arena, "Merge %s", proposal->name);
	return 0;
}

int dialect_git_proposal(struct arena *arena, const void *reply, size_t length, struct forge_proposal *proposal, struct err *err)
{
	struct forge_proposal found = {.name = NULL};
	json_t *json = jsonget_parse(reply, length, NODES, err);
	int done = -1;

	if (!json)
		return -1;
	if (read_place(arena, json, &found, err) < 0 || read_commits(arena, json, &found, err) < 0)
		goto err0;
	if (read_merge(arena, json, &found, err) < 0)
		goto err0;
	if (read_words(arena, json, &found, err) < 0 || read_approvals(arena, json, &found, err) < 0)
		goto err0;
	*proposal = found;
	done = 0;
err0:
	json_decref(json);
	return done;
}
