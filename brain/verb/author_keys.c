/* author-keys: which ssh keys somebody has, by the forge of a project. What a forge answers is taken for text from anybody. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "forge/proposal.h"
#include "forge/sshkey.h"
#include "loop/http.h"
#include "verb/verb.h"

#define REPLY_MAXIMUM ((size_t)512 * 1024)
#define LIMIT_MS 7000 /* somebody waits: slaves/test/author.h */

/* Where each forge has them: its root, where it is the same for all, and what follows it. */
static const struct place {
	const char *dialect, *root, *before, *after;
} places[] = {
	{"launchpad", "https://launchpad.net", "~", "/+sshkeys"}, /* lp/registry/browser/person.py */
	{"github", "https://github.com", "", ".keys"},
	{"gitea", NULL, "", ".keys"},
	{"gitlab", NULL, "", ".keys"},
};

struct keys {
	const struct conf *conf;
	struct arena *arena;
	const char *section; /* project/NAME */
	const char *who;
};

static const char *const *of_file(const struct keys *keys, struct err *err)
{
	const char *path, *text;
	size_t length = 0;

	if (conf_text(keys->conf, keys->section, "allowed_signers", &path, err) < 0 ||
		!(text = file_read(keys->arena, path, REPLY_MAXIMUM, &length, err)))
		return NULL;
	return sshkey_list(keys->arena, text, length, keys->who);
}

/* https://HOST of the repository; NULL and err. */
static const char *host_of(const struct keys *keys, struct err *err)
{
	const char *repository, *identity;

	if (conf_text(keys->conf, keys->section, "repository", &repository, err) < 0)
		return NULL;
	identity = forge_identity(keys->arena, repository);
	if (identity)
		return arena_printf(keys->arena, "https://%.*s", (int)strcspn(identity, ":/"), identity);
	err_set(err, ERR_CONFIG, "[%s] repository: its host is not known: set keys.url of its account", keys->section);
	return NULL;
}

/* Another answer than 200 is none: a page that we are sent to is somebody else's. */
static const char *const *of_url(const struct keys *keys, const char *url, const char *ca, struct err *err)
{
	const struct http_request request = {.url = url, .limit_ms = LIMIT_MS, .maximum = REPLY_MAXIMUM, .ca = ca};
	struct http_reply reply;

	if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://127.0.0.1:", 17) != 0) {
		err_set(err, ERR_CONFIG, "%.300s: keys come by https alone", url);
		return NULL;
	}
	if (http_once(&request, keys->arena, &reply, err) < 0)
		return NULL;
	if (reply.status == 200)
		return sshkey_list(keys->arena, reply.body, reply.length, NULL);
	err_set(err, ERR_NETWORK, "%.300s: the forge answered %u", url, reply.status);
	return NULL;
}

static const char *const *find(const struct keys *keys, struct err *err)
{
	const char *account, *section, *dialect, *root, *ca;

	if (conf_text(keys->conf, keys->section, "account", &account, err) < 0)
		return NULL;
	section = arena_printf(keys->arena, "account/%s", account);
	if (conf_text(keys->conf, section, "dialect", &dialect, err) < 0 || conf_text(keys->conf, section, "keys.url", &root, err) < 0 ||
		conf_text(keys->conf, section, "api.ca", &ca, err) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		const struct place *place = &places[i];
		size_t length;

		if (strcmp(place->dialect, dialect) != 0)
			continue;
		root = root ? root : place->root ? place->root : host_of(keys, err);
		length = root ? strlen(root) : 0;
		while (length && root[length - 1] == '/')
			length--;
		return root ? of_url(keys, arena_printf(keys->arena, "%.*s/%s%s%s", (int)length, root, place->before, keys->who, place->after),
				      ca, err) : NULL;
	}
	return of_file(keys, err);
}

static int print(const struct verb_call *call, const char *project, const char *who, struct arena *arena, struct err *err)
{
	const struct keys keys = {.conf = call->conf, .arena = arena, .section = arena_printf(arena, "project/%s", project), .who = who};
	const char *const *list;

	if (!conf_has_section(call->conf, keys.section))
		return err_set(err, ERR_USAGE, "--project %.64s: there is no such section", project);
	if (!sshkey_owner_valid(who))
		return err_set(err, ERR_REFUSED, "not a name that somebody has on a forge");
	list = find(&keys, err);
	for (; list && *list; list++)
		puts(*list);
	return list ? 0 : -1;
}

int author_keys_verb(const struct verb_call *call)
{
	const char *project = NULL, *rest[2] = {NULL};
	const struct verb_option options[] = {{.name = "--project", .value = &project}, {.name = NULL}};
	struct arena *arena = arena_new();
	struct err err = {0};
	int done = verb_options(call, options, rest, 1, &err);

	if (done == 0 && (!project || !rest[0]))
		done = err_set(&err, ERR_USAGE, "whose keys, of which project? See byoci author-keys --help");
	if (done == 0)
		done = print(call, project, rest[0], arena, &err);
	arena_free(arena);
	return done < 0 ? verb_fail(call, &err) : 0;
}
