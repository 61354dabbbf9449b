/* launchpad-read: a merge proposal as its forge answers it (the form is in forge/dialect_launchpad.h), for brain and land daemon. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/jsonget.h"
#include "forge/launchpad.h"
#include "forge/text.h"
#include "launchpad/launchpad_commits.h"
#include "verb/verb.h"

#define VOTES_MAXIMUM 1024

struct reading {
	struct launchpad_site site;
	struct launchpad_commits commits;
	json_t *trusted; /* set of names, with the members of teams; NULL: not asked for yet */
};

/* --- who may review */

static int add_members(struct reading *reading, const char *team, struct err *err)
{
	json_t *entry = launchpad_rest_get(reading->site.rest, arena_printf(reading->site.arena, "~%s", team), err);
	const char *link = arena_strdup(reading->site.arena, jsonget_string_or(entry, "participants_collection_link", NULL));
	bool is_team = jsonget_boolean_or(entry, "is_team", false);
	json_t *members = NULL, *member;
	size_t i;

	json_decref(entry);
	if (!entry || !is_team || !link)
		return entry ? 0 : err_wrap(err, "reviewers: %s", team);
	members = launchpad_rest_all(reading->site.rest, link, err);
	if (!members)
		return err_wrap(err, "reviewers: the members of %s", team);
	json_array_foreach(members, i, member)
		json_object_set_new(reading->trusted, jsonget_string_or(member, "name", ""), json_true());
	json_decref(members);
	return 0;
}

/* 1, 0, -1. Teams are only looked into when somebody votes who is not named. */
static int is_trusted(struct reading *reading, const char *name, struct err *err)
{
	const char *const *reviewers = reading->site.reviewers, *const *at;

	for (at = reviewers; at && *at; at++)
		if (strcmp(*at, name) == 0)
			return 1;
	if (!reading->trusted) {
		reading->trusted = json_object();
		for (at = reviewers; at && *at; at++)
			if (add_members(reading, *at, err) < 0)
				return -1;
	}
	return json_object_get(reading->trusted, name) != NULL;
}

/* --- votes */

static json_t *read_vote(struct reading *reading, json_t *vote, struct err *err)
{
	const char *who = launchpad_site_person(jsonget_string_or(vote, "reviewer_link", NULL));
	const char *link = jsonget_string_or(vote, "comment_link", NULL);
	int trusted = who ? is_trusted(reading, who, err) : 0;
	json_t *comment = NULL;

	if (trusted < 0 || (link && !(comment = launchpad_rest_get(reading->site.rest, link, err))))
		return NULL;
	return json_pack("{s:O, s:o?, s:b}", "vote", vote, "comment", comment, "trusted", trusted);
}

static json_t *read_votes(struct reading *reading, const json_t *entry, struct err *err)
{
	const char *link = jsonget_string_or(entry, "votes_collection_link", NULL);
	json_t *votes = link ? launchpad_rest_all(reading->site.rest, link, err) : json_array(), *list = json_array(), *vote;
	bool good = votes != NULL;
	size_t i;

	json_array_foreach(votes, i, vote) {
		json_t *read = good && i < VOTES_MAXIMUM ? read_vote(reading, vote, err) : NULL;

		good = good && (read || i >= VOTES_MAXIMUM);
		if (read)
			json_array_append_new(list, read);
	}
	json_decref(votes);
	if (good)
		return list;
	json_decref(list);
	return NULL;
}

/* --- versions: a hash of all that a decision depends on */

struct tips {
	const char *source, *target; /* NULL: not of interest, or gone */
};

static char *version(struct reading *reading, const json_t *entry, const json_t *votes, const struct tips *tips)
{
	json_t *known = json_pack("{s:O, s:o?, s:s?, s:s?}", "entry", entry, "votes", votes ? json_deep_copy(votes) : NULL, "source",
		tips->source, "target", tips->target);
	char *text = json_dumps(known, JSON_COMPACT | JSON_SORT_KEYS), digest[CRYPTO_SHA256_HEX];

	crypto_sha256(text, strlen(text), digest);
	free(text);
	json_decref(known);
	return arena_strdup(reading->site.arena, digest);
}

static bool is_approved(const json_t *entry)
{
	return strcmp(jsonget_string_or(entry, "queue_status", ""), "Approved") == 0;
}

/* What stands beside the entry only counts once it is approved; the target, when another proposal must be on it first. */
static char *version_of(struct reading *reading, const json_t *entry, const json_t *votes, struct tips tips)
{
	bool approved = is_approved(entry);
	json_t *references = votes ? json_array() : NULL, *vote;
	char *made;
	size_t i;

	json_array_foreach(votes, i, vote)
		json_array_append(references, json_object_get(vote, "vote") ? json_object_get(vote, "vote") : vote);
	if (!approved || !jsonget_string_or(entry, "prerequisite_git_path", NULL))
		tips.target = NULL;
	if (!approved)
		tips.source = NULL;
	made = version(reading, entry, approved ? references : NULL, &tips);
	json_decref(references);
	return made;
}

/* --- one proposal */

static struct launchpad_commit end_of(struct reading *reading, const json_t *entry, const char *which)
{
	struct arena *arena = reading->site.arena;

	return (struct launchpad_commit){
		.link = jsonget_string_or(entry, arena_printf(arena, "%s_git_repository_link", which), ""),
		.ref = jsonget_string_or(entry, arena_printf(arena, "%s_git_path", which), NULL),
		.as = which};
}

static int set_commits(struct reading *reading, json_t *reply, const json_t *entry, struct tips *tips, struct err *err)
{
	struct launchpad_commit source = end_of(reading, entry, "source"), target = end_of(reading, entry, "target"),
		prerequisite = end_of(reading, entry, "prerequisite");
	struct launchpad_commit_words of_source = {.name = "", .mail = ""}, of_target;
	bool landed = false, first = false;

	if (launchpad_commits_fetch(&reading->commits, &target, err) < 0 || launchpad_commits_fetch(&reading->commits, &source, err) < 0 ||
		(prerequisite.ref && launchpad_commits_fetch(&reading->commits, &prerequisite, err) < 0))
		return -1;
	if (!target.id)
		return err_set(err, ERR_INPUT, "the target %s is not in %s", target.ref, reading->site.name);
	if (launchpad_commits_words(&reading->commits, target.id, &of_target, err) < 0)
		return -1;
	if (source.id && (launchpad_commits_words(&reading->commits, source.id, &of_source, err) < 0 ||
						 launchpad_commits_descends(&reading->commits, source.id, target.id, &landed, err) < 0))
		return -1;
	if (prerequisite.id && launchpad_commits_descends(&reading->commits, prerequisite.id, target.id, &first, err) < 0)
		return -1;
	*tips = (struct tips){.source = source.id, .target = target.id};
	json_object_set_new(reply, "source_tip", source.id ? json_string(source.id) : json_null());
	json_object_set_new(reply, "target_tip", json_string(target.id));
	json_object_set_new(reply, "source_landed", json_boolean(landed));
	json_object_set_new(reply, "prerequisite_landed", json_boolean(first));
	json_object_set_new(reply, "head_time", json_integer(of_source.time));
	json_object_set_new(reply, "target_time", json_integer(of_target.time));
	json_object_set_new(reply, "author_name", text_json(of_source.name));
	json_object_set_new(reply, "author_email", text_json(of_source.mail));
	return 0;
}

static json_t *compose(struct reading *reading, json_t *entry, struct err *err)
{
	const char *link = jsonget_string_or(entry, "preview_diffs_collection_link", NULL);
	json_t *diffs = link ? launchpad_rest_all(reading->site.rest, link, err) : json_array();
	json_t *votes = diffs ? read_votes(reading, entry, err) : NULL, *reply = NULL;
	struct tips tips;

	if (!votes)
		goto err0;
	reply = json_pack("{s:s, s:s, s:O, s:O, s:O}", "repository", reading->site.place.identity, "repository_name", reading->site.name,
		"proposal", entry, "votes", votes, "diffs", diffs);
	if (set_commits(reading, reply, entry, &tips, err) < 0) {
		json_decref(reply);
		reply = NULL;
		goto err0;
	}
	json_object_set_new(reply, "version", json_string(version_of(reading, entry, votes, tips)));
err0:
	json_decref(votes);
	json_decref(diffs);
	return reply;
}

/* A proposal that was deleted, in the form of one that was superseded: its forge has nothing else to say of it. */
static json_t *gone(struct reading *reading, const char *place)
{
	struct arena *arena = reading->site.arena;
	const char *source = arena_printf(arena, "%.*s", (int)(strstr(place, "/+merge/") - place), place);
	const char *const *target = reading->site.place.targets;
	struct launchpad_commit tip = {.link = NULL, .ref = *target, .as = "target"};
	struct err ignored;

	if (launchpad_commits_fetch(&reading->commits, &tip, &ignored) < 0 || !tip.id)
		return NULL;
	const char *root = "https://api.launchpad.net/devel";
	json_t *entry = json_pack("{s:o, s:o, s:o, s:s, s:o, s:s, s:s, s:n}", "self_link", text_json(arena_printf(arena, "%s/%s", root, place)),
		"web_link", text_json(arena_printf(arena, "https://code.launchpad.net/%s", place)), "target_git_repository_link",
		text_json(arena_printf(arena, "%s/%s", root, reading->site.name)), "target_git_path", *target, "source_git_repository_link",
		text_json(arena_printf(arena, "%s/%s", root, source)), "source_git_path", "refs/heads/deleted", "queue_status", "Superseded",
		"registrant_link");
	return json_pack("{s:s, s:s, s:o, s:[], s:[], s:n, s:s, s:i, s:i, s:s, s:s}", "repository", reading->site.place.identity,
		"repository_name", reading->site.name, "proposal", entry, "votes", "diffs", "source_tip", "target_tip", tip.id, "head_time", 0,
		"target_time", 0, "author_name", "", "author_email", "");
}

static json_t *read_one(struct reading *reading, const char *what, struct err *err)
{
	json_t *entry = launchpad_site_proposal(&reading->site, what, err), *reply;

	if (!entry)
		return err->kind == ERR_NOT_FOUND && strchr(what, '/') ? gone(reading, what) : NULL;
	reply = compose(reading, entry, err);
	json_decref(entry);
	return reply;
}

/* --- the list */

/* The id in "ID\tREF" lines, in the arena; NULL: the ref is not there. */
static const char *tip_in(struct arena *arena, const char *lines, const char *ref)
{
	size_t length = strlen(ref);

	for (const char *line = lines; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *tab = strchr(line, '\t');

		if (tab && strncmp(tab + 1, ref, length) == 0 && (tab[1 + length] == '\n' || tab[1 + length] == '\0'))
			return arena_printf(arena, "%.*s", (int)(tab - line), line);
	}
	return NULL;
}

static json_t *list_row(struct reading *reading, json_t *entry, const char *targets, struct err *err)
{
	struct arena *arena = reading->site.arena;
	const char *place = launchpad_below_root(jsonget_string_or(entry, "self_link", ""));
	const char *number = place ? launchpad_number_of(place) : NULL, *ref = jsonget_string_or(entry, "source_git_path", "");
	const char *link = jsonget_string_or(entry, "source_git_repository_link", NULL);
	struct tips tips = {.target = tip_in(arena, targets, jsonget_string_or(entry, "target_git_path", ""))};
	json_t *votes = NULL, *row;

	if (!number || !link || !launchpad_ref_valid(ref, "refs/"))
		return json_null();
	if (is_approved(entry)) {
		const char *votes_link = jsonget_string_or(entry, "votes_collection_link", NULL);
		struct err away = {.kind = ERR_NONE};
		const char *lines = launchpad_commits_list(&reading->commits, link, (const char *const[]){ref, NULL}, &away);

		tips.source = lines ? tip_in(arena, lines, ref) : "out of reach";
		votes = votes_link ? launchpad_rest_all(reading->site.rest, votes_link, err) : json_array();
		if (!votes)
			return NULL;
	}
	row = json_pack("{s:s, s:s, s:s?, s:s}", "name", number, "place", place, "head", tips.source, "version",
		version_of(reading, entry, votes, tips));
	json_decref(votes);
	return row;
}

static json_t *targets_json(struct reading *reading, const char *lines)
{
	json_t *list = json_array();

	for (const char *const *target = reading->site.place.targets; *target; target++) {
		const char *tip = tip_in(reading->site.arena, lines, *target);

		if (tip)
			json_array_append_new(list, json_pack("{s:s, s:s}", "ref", *target, "tip", tip));
	}
	return list;
}

static json_t *read_list(struct reading *reading, struct err *err)
{
	const char *lines = launchpad_commits_list(&reading->commits, NULL, reading->site.place.targets, err);
	json_t *all = lines ? launchpad_site_open_ones(&reading->site, err) : NULL, *list = json_array(), *entry;
	bool good = all != NULL;
	size_t i;

	json_array_foreach(all, i, entry) {
		if (!good || !place_has_target(&reading->site.place, jsonget_string_or(entry, "target_git_path", "")))
			continue;
		json_t *row = list_row(reading, entry, lines, err);

		good = row != NULL;
		if (json_is_object(row))
			json_array_append_new(list, row);
	}
	json_decref(all);
	if (good)
		return json_pack("{s:o, s:o}", "proposals", list, "targets", targets_json(reading, lines));
	json_decref(list);
	return NULL;
}

/* --- the verb */

struct which {
	const char *project, *what; /* NULL: the list */
	bool anew;
};

static int read_it(const struct verb_call *call, const struct which *which, struct err *err)
{
	struct reading reading = {.trusted = NULL};
	json_t *json = NULL;
	int done = -1;

	if (launchpad_site_open(call->conf, which->project, &reading.site, err) < 0)
		return -1;
	if (which->anew)
		launchpad_rest_anew(reading.site.rest);
	if (launchpad_commits_open(&reading.commits, &reading.site, err) < 0)
		goto err0;
	json = which->what ? read_one(&reading, which->what, err) : read_list(&reading, err);
	launchpad_commits_close(&reading.commits);
	if (json && json_dumpf(json, stdout, JSON_COMPACT) == 0 && putchar('\n') >= 0)
		done = 0;
	else if (json)
		err_set(err, ERR_SYSTEM, "standard output could not be written");
	json_decref(json);
err0:
	json_decref(reading.trusted);
	launchpad_site_close(&reading.site);
	return done;
}

int launchpad_read_verb(const struct verb_call *call)
{
	struct which which = {.project = NULL};
	const char *rest[2];
	bool list = false;
	const struct verb_option options[] = {{.name = "--project", .value = &which.project}, {.name = "--list", .flag = &list},
		{.name = "--anew", .flag = &which.anew}, {.name = NULL}};
	struct err err = {.kind = ERR_NONE};

	if (verb_options(call, options, rest, 1, &err) < 0)
		return verb_fail(call, &err);
	which.what = rest[0];
	if (list && rest[0])
		err_set(&err, ERR_USAGE, "say either a merge proposal or --list");
	else if ((list || launchpad_site_check(rest[0], &err) == 0) && read_it(call, &which, &err) == 0)
		return 0;
	return verb_fail(call, &err);
}
