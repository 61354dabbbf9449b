/* git-read: a proposal of a plain git repository as its forge's "API" answers it, for brain, slave and land daemon. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "forge/outcome.h"
#include "forge/proposal.h"
#include "git/place.h"
#include "git/reader.h"
#include "git/repo.h"
#include "verb/verb.h"

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

#define SIGNERS_MAXIMUM (1024 * 1024) /* of allowed_signers; a longer one is left to ssh-keygen */

/* What reads of one project have in common. */
struct session {
	const struct conf *conf;
	const char *project;
	struct reader_memory *memory; /* of one that stays; else NULL */
};

/* `name` NULL: the list. A new reference. */
static json_t *read_it(const struct session *session, const char *name, struct err *err)
{
	struct arena *arena = arena_new();
	struct repo *repo = NULL;
	struct place place;
	struct err ignored = {.kind = ERR_NONE};
	json_t *json = NULL;

	if (place_find(session->conf, arena, session->project, &place, err) < 0)
		goto err0;
	repo = place.read[0] == '/' ? repo_open(session->conf, place.read, err) : fetched(session->conf, &place, name, arena, err);
	if (repo) {
		const struct reader reader = {.repo = repo, .place = &place, .now = clock_wall_ms() / 1000, .memory = session->memory,
			.allowed = session->memory ? file_read(arena, place.allowed_signers, SIGNERS_MAXIMUM, NULL, &ignored) : NULL};

		json = name ? reader_proposal(&reader, name, err) : reader_list(&reader, err);
	}
	repo_close(repo);
err0:
	arena_free(arena);
	return json;
}

static int print_read(const struct session *session, const char *name, struct err *err)
{
	return print(read_it(session, name, err), err);
}

/* What is asked stands in one line; its answer is another: "STATUS SP TEXT". */
static int answer(const struct session *session, const char *name, struct err *err)
{
	struct err why = {.kind = ERR_NONE};
	bool list = strcmp(name, "--list") == 0;
	json_t *json = NULL;

	if (!list && !forge_name_valid(name))
		err_set(&why, ERR_USAGE, "that is not the name of a proposal");
	else
		json = read_it(session, list ? NULL : name, &why);
	if (!json) {
		why.text[strcspn(why.text, "\n")] = '\0';
		printf("%d %s\n", verb_status(&why), why.text);
	} else {
		fputs("0 ", stdout);
		if (print(json, err) < 0)
			return -1;
	}
	return fflush(stdout) == 0 ? 0 : err_set(err, ERR_SYSTEM, "standard output could not be written");
}

/* Until its standard input ends. */
static int serve(const struct session *session, struct err *err)
{
	struct reader_memory memory = {.next = 0};
	const struct session kept = {.conf = session->conf, .project = session->project, .memory = &memory};
	char *line = NULL;
	size_t room = 0;
	int done = 0;

	while (done == 0 && getline(&line, &room, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		done = answer(&kept, line, err);
	}
	free(line);
	return done;
}

int git_read_verb(const struct verb_call *call)
{
	const char *rest[2];
	bool list = false, serves = false;
	struct session session = {.conf = call->conf};
	const struct verb_option options[] = {{.name = "--project", .value = &session.project}, {.name = "--list", .flag = &list},
		{.name = "--serve", .flag = &serves}, {.name = NULL}};
	struct err err;
	int done;

	if (verb_options(call, options, rest, 1, &err) < 0)
		return verb_fail(call, &err);
	if (list + serves + (rest[0] != NULL) != 1) {
		err_set(&err, ERR_USAGE, "say either the NAME of a proposal or --list");
		return verb_fail(call, &err);
	}
	if (rest[0] && !forge_name_valid(rest[0])) {
		err_set(&err, ERR_USAGE, "that is not the name of a proposal");
		return verb_fail(call, &err);
	}
	done = serves ? serve(&session, &err) : print_read(&session, rest[0], &err);
	return done < 0 ? verb_fail(call, &err) : 0;
}
