/* git-read: a proposal of a plain git repository as its forge's "API" answers it, for brain, slave and land daemon. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/place.h"
#include "ctl/reader.h"
#include "ctl/repo.h"
#include "ctl/verb.h"
#include "forge/outcome.h"
#include "forge/proposal.h"

/* The slave's key for what cannot be read on this host; NULL: none that the caller may read. */
static const char *read_key(const struct conf *conf, struct arena *arena)
{
	struct err ignored;
	const char *secrets, *key;

	if (conf_text(conf, NULL, "secrets", &secrets, &ignored) < 0)
		return NULL;
	key = arena_printf(arena, "%s/slave/id_ed25519", secrets);
	if (access(key, R_OK) == 0)
		return key;
	key = arena_printf(arena, "%s/land/id_ed25519", secrets);
	return access(key, R_OK) == 0 ? key : NULL;
}

/* A repository elsewhere is fetched into a temporary one: its proposals (or the one) and its targets. */
static struct repo *fetched(
	const struct conf *conf, const struct place *place, const char *name, struct arena *arena, struct err *err)
{
	struct repo *repo = repo_temporary(conf, err);
	struct strv arguments = STRV_INIT;
	struct repo_call call = {.input = NULL};
	bool done = false;

	if (!repo)
		return NULL;
	strv_pushl(&arguments, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", place->read, NULL);
	strv_pushf(&arguments, "+refs/proposals/%s*:refs/proposals/%s*", name ? arena_printf(arena, "%s/", name) : "",
		name ? arena_printf(arena, "%s/", name) : "");
	for (const char *const *target = place->targets; *target; target++) /* as a pattern: a target that is missing is told later */
		strv_pushf(&arguments, "+%s*:%s*", *target, *target);
	call.arguments = (const char *const *)arguments.v;
	if (repo_ssh(repo, conf, read_key(conf, arena), err) == 0 && repo_text(repo, arena, &call, NULL, err))
		done = true;
	strv_release(&arguments);
	if (done)
		return repo;
	repo_close(repo);
	return NULL;
}

static int print(json_t *json, struct err *err)
{
	int done;

	if (!json)
		return -1;
	done = json_dumpf(json, stdout, JSON_COMPACT);
	json_decref(json);
	if (done < 0 || putchar('\n') < 0)
		return err_set(err, ERR_SYSTEM, "standard output could not be written");
	return 0;
}

static int read_it(const struct verb_call *call, const char *project, const char *name, struct err *err)
{
	struct arena *arena = arena_new();
	struct repo *repo = NULL;
	struct place place;
	int done = -1;

	if (place_find(call->conf, arena, project, &place, err) < 0)
		goto err0;
	repo = place.read[0] == '/' ? repo_open(call->conf, place.read, err) : fetched(call->conf, &place, name, arena, err);
	if (repo) {
		const struct reader reader = {.repo = repo, .place = &place, .now = clock_wall_ms() / 1000};

		done = print(name ? reader_proposal(&reader, name, err) : reader_list(&reader, err), err);
	}
	repo_close(repo);
err0:
	arena_free(arena);
	return done;
}

int git_read_verb(const struct verb_call *call)
{
	const char *project = NULL, *rest[2];
	bool list = false;
	const struct verb_option options[] = {
		{.name = "--project", .value = &project}, {.name = "--list", .flag = &list}, {.name = NULL}};
	struct err err;

	if (verb_options(call, options, rest, 1, &err) < 0)
		return verb_fail(call, &err);
	if (list == (rest[0] != NULL)) {
		err_set(&err, ERR_USAGE, "say either the NAME of a proposal or --list");
		return verb_fail(call, &err);
	}
	if (rest[0] && !forge_name_valid(rest[0])) {
		err_set(&err, ERR_USAGE, "that is not the name of a proposal");
		return verb_fail(call, &err);
	}
	return read_it(call, project, rest[0], &err) < 0 ? verb_fail(call, &err) : 0;
}
