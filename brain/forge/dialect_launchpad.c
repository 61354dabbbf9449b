#include "forge/dialect_launchpad.h"

#include <string.h>

#include "base/jsonget.h"
#include "forge/launchpad.h"

#define HEADS "refs/heads/"
#define REFS "refs/"
#define NODES (64 * 1024) /* values in one JSON text */

/* --- reading JSON */

static int get_text(const json_t *json, const char *key, struct arena *arena, const char **to, struct err *err)
{
	const char *text;

	if (jsonget_string(json, key, &text, err) < 0)
		return -1;
	*to = arena_strdup(arena, text);
	return 0;
}

/* What may be null or absent, and nothing else than a text: NULL then. */
static int get_text_or_null(const json_t *json, const char *key, struct arena *arena, const char **to, struct err *err)
{
	const json_t *value = json_object_get(json, key);

	*to = NULL;
	return !value || json_is_null(value) ? 0 : get_text(json, key, arena, to, err);
}

static int get_commit(const json_t *json, const char *key, struct arena *arena, const char **to, struct err *err)
{
	if (get_text(json, key, arena, to, err) < 0)
		return -1;
	return forge_commit_valid(*to) ? 0 : err_set(err, ERR_INPUT, "%s: must be a commit id", key);
}

/* The name at the end of a link to a person, ".../~NAME"; NULL when the link is null. */
static int get_person(const json_t *json, const char *key, struct arena *arena, const char **to, struct err *err)
{
	const char *link, *name;

	if (get_text_or_null(json, key, arena, &link, err) < 0)
		return -1;
	*to = NULL;
	if (!link)
		return 0;
	name = launchpad_below_root(link);
	if (!name || name[0] != '~' || !name[1] || strchr(name, '/'))
		return err_set(err, ERR_INPUT, "%s: must be the address of a person", key);
	*to = name + 1;
	return 0;
}

/* -1 in *to when it is null or absent. */
static int get_time(const json_t *json, const char *key, int64_t *to, struct err *err)
{
	const json_t *value = json_object_get(json, key);
	const char *text;

	*to = -1;
	if (!value || json_is_null(value))
		return 0;
	if (jsonget_string(json, key, &text, err) < 0)
		return -1;
	*to = launchpad_time(text);
	return *to < 0 ? err_set(err, ERR_INPUT, "%s: must be a time in UTC", key) : 0;
}

/* --- events */

static int get_unique_name(const json_t *json, const char *key, struct arena *arena, const char **to, struct err *err)
{
	const char *path;

	if (get_text(json, key, arena, &path, err) < 0)
		return -1;
	if (path[0] != '/' || !launchpad_name_valid(path + 1))
		return err_set(err, ERR_INPUT, "%s: must be a path on Launchpad", key);
	*to = path + 1;
	return 0;
}

static int get_place(const json_t *json, struct arena *arena, const char **place, struct err *err)
{
	if (get_unique_name(json, "merge_proposal", arena, place, err) < 0)
		return -1;
	return launchpad_number_of(*place) ? 0 : err_set(err, ERR_INPUT, "merge_proposal: must be the path of one");
}

static const char *const *list_of_one(struct arena *arena, const char *text)
{
	const char **list = arena_alloc(arena, 2 * sizeof *list);

	list[0] = text;
	return list;
}

static int read_merge_proposal(struct arena *arena, const json_t *json, struct dialect_event *event, struct err *err)
{
	json_t *about = json_object_get(json, "new") ? json_object_get(json, "new") : json_object_get(json, "old");
	const char *action, *place;

	if (jsonget_string(json, "action", &action, err) < 0 || get_place(json, arena, &place, err) < 0)
		return -1;
	if (!json_is_object(about))
		return err_set(err, ERR_INPUT, "new, old: neither is an object");
	if (!json_is_string(json_object_get(about, "target_git_repository")) && json_is_string(json_object_get(about, "target_branch")))
		return err_set(err, ERR_INPUT, "target_branch: a Bazaar branch, which is not read");
	if (get_unique_name(about, "target_git_repository", arena, &event->repository, err) < 0)
		return -1;
	event->proposals = list_of_one(arena, launchpad_number_of(place));
	event->places = list_of_one(arena, place);
	return 0;
}

static int read_push(struct arena *arena, json_t *json, struct dialect_event *event, struct err *err)
{
	json_t *changes, *change;
	const char **targets, *ref;
	size_t count = 0;

	if (get_unique_name(json, "git_repository", arena, &event->repository, err) < 0)
		return -1;
	if (jsonget_object(json, "ref_changes", &changes, err) < 0)
		return -1;
	if (json_object_size(changes) > DIALECT_LAUNCHPAD_REFS)
		return err_set(err, ERR_INPUT, "ref_changes: %zu of them, over %d", json_object_size(changes), DIALECT_LAUNCHPAD_REFS);
	targets = arena_alloc(arena, (json_object_size(changes) + 1) * sizeof *targets);
	json_object_foreach(changes, ref, change) {
		if (!json_is_object(change))
			return err_set(err, ERR_INPUT, "ref_changes: must be of objects");
		if (launchpad_ref_valid(ref, HEADS))
			targets[count++] = arena_strdup(arena, ref);
	}
	event->targets = targets;
	return 0;
}

static int read_event(struct arena *arena, const char *kind, json_t *json, struct dialect_event *event, struct err *err)
{
	if (strcmp(kind, "merge-proposal:0.1") == 0)
		return read_merge_proposal(arena, json, event, err);
	if (strcmp(kind, "git:push:0.1") == 0)
		return read_push(arena, json, event, err);
	if (strcmp(kind, "ping") == 0)
		return 0;
	return err_set(err, ERR_INPUT, "an event of another kind than merge-proposal:0.1, git:push:0.1 and ping");
}

int dialect_launchpad_event(
	struct arena *arena, const char *kind, const void *body, size_t length, struct dialect_event *event, struct err *err)
{
	struct dialect_event found = {.proposals = list_of_one(arena, NULL), .targets = list_of_one(arena, NULL)};
	json_t *json = jsonget_parse(body, length, NODES, err);
	int done = -1;

	if (!json)
		return -1;
	if (!json_is_object(json))
		err_set(err, ERR_INPUT, "not an object");
	else
		done = read_event(arena, kind, json, &found, err);
	if (done == 0)
		*event = found;
	json_decref(json);
	return done;
}

char *dialect_launchpad_place(struct arena *arena, const void *body, size_t length, struct err *err)
{
	json_t *json = jsonget_parse(body, length, NODES, err);
	const char *place = NULL;
	char *copy = NULL;

	if (json && get_place(json, arena, &place, err) == 0)
		copy = arena_strdup(arena, place);
	json_decref(json);
	return copy;
}

/* --- the proposal */

/* What the approvals are weighed by. */
struct record {
	const json_t *proposal, *votes;
	const char *status;
	bool has_diff, diffs_differ; /* differ: two of the same newest date are of different commits */
	int64_t diff_time;
	const char *diff_source; /* NULL: it does not say */
	const char *nothing_counts; /* why; NULL: approvals may count */
};

static int64_t seconds(int64_t microseconds)
{
	return microseconds < 0 ? 0 : microseconds / 1000000;
}

static int read_place(struct arena *arena, const json_t *json, const json_t *entry, struct forge_proposal *proposal, struct err *err)
{
	const char *link, *own, *place;

	if (get_text(json, "repository", arena, &proposal->repository, err) < 0 ||
		get_text(json, "repository_name", arena, &own, err) < 0 || get_text(entry, "self_link", arena, &link, err) < 0)
		return -1;
	place = launchpad_below_root(link);
	proposal->name = place ? launchpad_number_of(place) : NULL;
	if (!proposal->name)
		return err_set(err, ERR_INPUT, "self_link: must be the address of a merge proposal");
	proposal->place = place;
	if (get_text_or_null(entry, "target_git_repository_link", arena, &link, err) < 0)
		return -1;
	if (!link)
		return err_set(err, ERR_INPUT, "target_git_repository_link: missing: only git is read");
	place = launchpad_below_root(link);
	if (!place || strcmp(place, own) != 0)
		return err_set(err, ERR_INPUT, "the proposal %s is for another repository than %.200s", proposal->name, own);
	if (get_text(entry, "web_link", arena, &proposal->url, err) < 0 ||
		get_text(entry, "target_git_path", arena, &proposal->target, err) < 0)
		return -1;
	if (strncmp(proposal->url, "https://", 8) != 0 && strncmp(proposal->url, "http://", 7) != 0)
		return err_set(err, ERR_INPUT, "web_link: must be an address");
	return launchpad_ref_valid(proposal->target, HEADS) ? 0 : err_set(err, ERR_INPUT, "target_git_path: must be a ref in " HEADS);
}

static int read_commits(struct arena *arena, const json_t *json, struct forge_proposal *proposal, struct err *err)
{
	if (get_text_or_null(json, "source_tip", arena, &proposal->head, err) < 0)
		return -1;
	if (!proposal->head)
		proposal->head = "";
	else if (!forge_commit_valid(proposal->head))
		return err_set(err, ERR_INPUT, "source_tip: must be a commit id");
	if (get_commit(json, "target_tip", arena, &proposal->target_tip, err) < 0 ||
		jsonget_integer(json, "target_time", &proposal->target_time, err) < 0 ||
		jsonget_integer(json, "head_time", &proposal->head_time, err) < 0)
		return -1;
	if (get_text(json, "author_name", arena, &proposal->author_name, err) < 0)
		return -1;
	return get_text(json, "author_email", arena, &proposal->author_email, err);
}

/* Every status there is, and whether the proposal is still open (lp/code/enums.py BranchMergeProposalStatus). */
static const struct {
	const char *word;
	bool open;
} statuses[] = {{"Work in progress", true}, {"Needs review", true}, {"Approved", true}, {"Rejected", false}, {"Merged", false},
	{"Superseded", false}, {"Code failed to merge", true}, {"Queued", true}};

static int read_state(
	struct arena *arena, const json_t *json, struct record *record, struct forge_proposal *proposal, struct err *err)
{
	if (get_text(record->proposal, "queue_status", arena, &record->status, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
		if (strcmp(record->status, statuses[i].word) != 0)
			continue;
		proposal->state = statuses[i].open && *proposal->head ? FORGE_OPEN : FORGE_CLOSED;
		if (*proposal->head && jsonget_boolean_or(json, "source_landed", false))
			proposal->state = FORGE_MERGED;
		const char *merge = jsonget_string_or(record->proposal, "merged_revision_id", "");
		if (proposal->state == FORGE_MERGED && forge_commit_valid(merge))
			proposal->merge = arena_strdup(arena, merge);
		return 0;
	}
	return err_set(err, ERR_INPUT, "queue_status: is none that is known");
}

/* Where the source is. A proposal of something else than git was refused before. */
static int read_source(struct arena *arena, const json_t *entry, struct forge_proposal *proposal, struct err *err)
{
	const char *link, *path;

	if (get_text(entry, "source_git_repository_link", arena, &link, err) < 0 ||
		get_text(entry, "source_git_path", arena, &proposal->source_ref, err) < 0)
		return -1;
	path = launchpad_below_root(link);
	if (!path)
		return err_set(err, ERR_INPUT, "source_git_repository_link: must be the address of a repository");
	if (!launchpad_ref_valid(proposal->source_ref, REFS))
		return err_set(err, ERR_INPUT, "source_git_path: must be a ref");
	proposal->source_repository =
		arena_printf(arena, "%.*s/%s", (int)strcspn(proposal->repository, "/"), proposal->repository, path);
	return 0;
}

static bool blank(const char *text)
{
	return !text || text[strspn(text, " \t\r\n")] == '\0';
}

static int read_words(struct arena *arena, const json_t *entry, struct forge_proposal *proposal, struct err *err)
{
	const char *description, *source = proposal->source_ref;

	if (get_person(entry, "registrant_link", arena, &proposal->proposer, err) < 0 ||
		get_text_or_null(entry, "commit_message", arena, &proposal->message, err) < 0 ||
		get_text_or_null(entry, "description", arena, &description, err) < 0)
		return -1;
	if (blank(proposal->message))
		proposal->message = description;
	if (blank(proposal->message))
		proposal->message = arena_printf(arena, "Merge %s", strncmp(source, HEADS, strlen(HEADS)) ? source : source + strlen(HEADS));
	if (strlen(proposal->message) > DIALECT_LAUNCHPAD_MESSAGE)
		return err_set(err, ERR_INPUT, "message: over %d bytes", DIALECT_LAUNCHPAD_MESSAGE);
	return 0;
}

/* Only the newest counts: older ones are pruned by Launchpad, and their order is not a promise. */
static int read_diffs(struct arena *arena, const json_t *json, struct record *record, struct err *err)
{
	json_t *diffs;

	if (jsonget_array(json, "diffs", &diffs, err) < 0)
		return -1;
	if (json_array_size(diffs) > DIALECT_LAUNCHPAD_DIFFS)
		return err_set(err, ERR_INPUT, "diffs: %zu of them, over %d", json_array_size(diffs), DIALECT_LAUNCHPAD_DIFFS);
	for (size_t i = 0; i < json_array_size(diffs); i++) {
		const json_t *diff = json_array_get(diffs, i);
		const char *source;
		int64_t when;

		if (get_text_or_null(diff, "source_revision_id", arena, &source, err) < 0 || get_time(diff, "date_created", &when, err) < 0)
			return err_wrap(err, "diffs[%zu]", i);
		if (when < 0)
			return err_set(err, ERR_INPUT, "diffs[%zu]: date_created: missing", i);
		if (record->has_diff && when == record->diff_time && (!source || !record->diff_source || strcmp(source, record->diff_source)))
			record->diffs_differ = true;
		if (record->has_diff && when <= record->diff_time)
			continue;
		record->has_diff = true;
		record->diffs_differ = false;
		record->diff_time = when;
		record->diff_source = source;
	}
	return 0;
}

/* The commit that somebody who approved at `when` had before their eyes, or NULL and why that can't be told. */
static const char *commit_seen(const struct record *record, const char *head, int64_t when, const char **why_not)
{
	if (when < 0)
		*why_not = "Launchpad does not say when it was given";
	else if (!record->has_diff)
		*why_not = "no preview diff says for which commit it is";
	else if (when < record->diff_time)
		*why_not = "the newest preview diff is later than it";
	else if (record->diffs_differ)
		*why_not = "there are two newest preview diffs";
	else if (!record->diff_source || strcmp(record->diff_source, head) != 0)
		*why_not = "the newest preview diff is not of the source now";
	else
		return head;
	return NULL;
}

static int read_status_approval(
	struct arena *arena, const struct record *record, struct forge_proposal *proposal, struct err *err)
{
	struct forge_approval *approval = &proposal->approvals[proposal->approval_count];
	const char *revision, *why_not = NULL;
	int64_t when;

	if (get_person(record->proposal, "reviewer_link", arena, &approval->who, err) < 0 ||
		get_time(record->proposal, "date_reviewed", &when, err) < 0 ||
		get_text_or_null(record->proposal, "reviewed_revid", arena, &revision, err) < 0)
		return -1;
	if (strcmp(record->status, "Approved") != 0)
		return 0;
	if (!revision)
		approval->commit = commit_seen(record, proposal->head, when, &why_not);
	else if (forge_commit_valid(revision))
		approval->commit = revision;
	else
		why_not = "its reviewed revision is not a commit id";
	approval->time = seconds(when);
	approval->why_not = record->nothing_counts ? record->nothing_counts : why_not;
	proposal->undecided_time = approval->time;
	if (!record->nothing_counts)
		proposal->undecided = approval->commit && strcmp(approval->commit, proposal->head) != 0 ? "pushed over since" : why_not;
	proposal->approval_count++;
	return 0;
}

struct vote {
	const char *who, *word; /* word: NULL while it is only asked for */
	int64_t when;
	bool trusted;
};

static int read_vote(struct arena *arena, const json_t *json, struct vote *vote, struct err *err)
{
	const json_t *comment = json_object_get(json, "comment");
	json_t *reference;

	if (jsonget_object(json, "vote", &reference, err) < 0 || get_person(reference, "reviewer_link", arena, &vote->who, err) < 0)
		return -1;
	vote->trusted = jsonget_boolean_or(json, "trusted", false);
	vote->word = NULL;
	vote->when = -1;
	if (jsonget_boolean_or(reference, "is_pending", false) || !json_is_object(comment))
		return 0;
	if (get_text_or_null(comment, "vote", arena, &vote->word, err) < 0)
		return -1;
	return get_time(comment, "date_created", &vote->when, err);
}

static void add_vote(struct record *record, const struct vote *vote, struct forge_proposal *proposal)
{
	struct forge_approval *approval = &proposal->approvals[proposal->approval_count];
	const char *why_not = NULL;

	if (!vote->word || strcmp(vote->word, "Approve") != 0)
		return;
	approval->who = vote->who;
	approval->time = seconds(vote->when);
	approval->commit = commit_seen(record, proposal->head, vote->when, &why_not);
	if (!vote->trusted)
		why_not = "not a reviewer of the target";
	approval->why_not = record->nothing_counts ? record->nothing_counts : why_not;
	proposal->approval_count++;
}

/* What stops all of them. The words are shown in 60 columns. */
static int weigh(struct arena *arena, const json_t *json, struct record *record, struct err *err)
{
	const char *prerequisite;

	if (get_text_or_null(record->proposal, "prerequisite_git_path", arena, &prerequisite, err) < 0)
		return -1;
	if (strcmp(record->status, "Approved") != 0)
		record->nothing_counts = arena_printf(arena, "the proposal's status is %s", record->status);
	else if (prerequisite && !jsonget_boolean_or(json, "prerequisite_landed", false))
		record->nothing_counts = arena_printf(arena, "the prerequisite %.24s has not landed", prerequisite);
	for (size_t i = 0; !record->nothing_counts && i < json_array_size(record->votes); i++) {
		struct vote vote;

		if (read_vote(arena, json_array_get(record->votes, i), &vote, err) < 0)
			return err_wrap(err, "votes[%zu]", i);
		if (vote.trusted && vote.word && strcmp(vote.word, "Disapprove") == 0)
			record->nothing_counts = arena_printf(arena, "%.30s's vote is Disapprove", vote.who ? vote.who : "somebody");
	}
	return 0;
}

static int read_approvals(
	struct arena *arena, const json_t *json, struct record *record, struct forge_proposal *proposal, struct err *err)
{
	json_t *votes;
	size_t size;

	if (jsonget_array(json, "votes", &votes, err) < 0)
		return -1;
	record->votes = votes;
	size = json_array_size(votes);
	if (size > DIALECT_LAUNCHPAD_VOTES)
		return err_set(err, ERR_INPUT, "votes: %zu of them, over %d", size, DIALECT_LAUNCHPAD_VOTES);
	if (weigh(arena, json, record, err) < 0)
		return -1;
	proposal->approvals = arena_alloc(arena, (size + 1) * sizeof *proposal->approvals);
	if (read_status_approval(arena, record, proposal, err) < 0)
		return -1;
	for (size_t i = 0; i < size; i++) {
		struct vote vote;

		if (read_vote(arena, json_array_get(votes, i), &vote, err) < 0)
			return err_wrap(err, "votes[%zu]", i);
		add_vote(record, &vote, proposal);
	}
	return 0;
}

int dialect_launchpad_proposal(
	struct arena *arena, const void *reply, size_t length, struct forge_proposal *proposal, struct err *err)
{
	struct forge_proposal found = {.name = NULL};
	struct record record = {.has_diff = false};
	json_t *json = jsonget_parse(reply, length, NODES, err), *entry;
	int done = -1;

	if (!json)
		return -1;
	if (jsonget_object(json, "proposal", &entry, err) < 0)
		goto err0;
	record.proposal = entry;
	if (read_place(arena, json, entry, &found, err) < 0 || read_commits(arena, json, &found, err) < 0 ||
		read_state(arena, json, &record, &found, err) < 0)
		goto err0;
	if (read_source(arena, entry, &found, err) < 0 || read_words(arena, entry, &found, err) < 0 ||
		read_diffs(arena, json, &record, err) < 0 ||
		read_approvals(arena, json, &record, &found, err) < 0)
		goto err0;
	*proposal = found;
	done = 0;
err0:
	json_decref(json);
	return done;
}
