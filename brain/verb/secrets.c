/* secrets: makes what is missing of a namespace's secrets, or checks them. What is there is never changed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/file.h"
#include "forge/landed.h"
#include "forge/outcome.h"
#include "forge/text.h"
#include "verb/vault.h"
#include "verb/verb.h"

#define ITEMS 256

struct list {
	const struct conf *conf;
	struct arena *arena;
	const char *folder; /* option secrets */
	const char *brain, *slave, *land, *git; /* users */
	struct vault_item items[ITEMS];
	size_t count;
};

static int add(struct list *list, const struct vault_item *item, struct err *err)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->items[i].path, item->path) == 0)
			return 0;
	if (list->count == ITEMS)
		return err_set(err, ERR_FULL, "over %d secrets", ITEMS);
	list->items[list->count++] = *item;
	return 0;
}

static const char *within(const struct list *list, const char *path)
{
	return arena_printf(list->arena, "%s/%s", list->folder, path);
}

static bool is_ours(const struct list *list, const char *path)
{
	size_t length = strlen(list->folder);

	return strncmp(path, list->folder, length) == 0 && path[length] == '/';
}

static int add_folders(struct list *list, struct err *err)
{
	const struct vault_item items[] = {
		{VAULT_FOLDER, within(list, "brain"), list->brain, NULL, NULL},
		{VAULT_FOLDER, within(list, "slave"), list->slave, NULL, NULL},
		{VAULT_FOLDER, within(list, "land"), list->land, NULL, NULL},
		{VAULT_FOLDER, within(list, "git"), list->git, NULL, NULL},
		{VAULT_FOLDER, within(list, "worker"), "root", NULL, NULL},
	};

	for (size_t i = 0; i < sizeof items / sizeof items[0]; i++)
		if (add(list, &items[i], err) < 0)
			return -1;
	return 0;
}

/* The secrets that hooks are signed with: one for each account, the built-in forge's for its own side as well. */
static int add_hooks(struct list *list, struct err *err)
{
	for (const char *const *name = conf_sections(list->conf, list->arena, "account"); *name; name++) {
		const char *section = arena_printf(list->arena, "account/%s", *name), *path, *previous;

		if (conf_text(list->conf, section, "secret", &path, err) < 0 ||
			conf_text(list->conf, section, "secret.previous", &previous, err) < 0)
			return -1;
		const struct vault_item hook = {is_ours(list, path) ? VAULT_RANDOM : VAULT_GIVEN, path, list->brain, NULL, NULL};
		const struct vault_item older = {VAULT_MAYBE, previous, list->brain, NULL, NULL};
		const struct vault_item copy = {VAULT_COPY, within(list, "git/hook"), list->git, path, list->brain};
		if (add(list, &hook, err) < 0 || (previous && add(list, &older, err) < 0))
			return -1;
		if (strcmp(*name, "git") == 0 && add(list, &copy, err) < 0)
			return -1;
	}
	return 0;
}

static int add_landing_keys(struct list *list, struct err *err)
{
	for (const char *const *name = conf_sections(list->conf, list->arena, "project"); *name; name++) {
		const char *key;

		if (conf_text(list->conf, arena_printf(list->arena, "project/%s", *name), "landing.key", &key, err) < 0)
			return -1;
		const struct vault_item item = {is_ours(list, key) ? VAULT_SSH : VAULT_GIVEN, key, list->land, NULL, NULL};
		if (add(list, &item, err) < 0)
			return -1;
	}
	return 0;
}

#define TOKEN_HOW \
	"it is missing: Launchpad's OAuth token of our account there, one line of consumer key, token and secret, owned by %s, mode 0600 " \
	"(byoci login gets one)"

/* What only Launchpad gives: a token for who reads, and one for who tells. */
static int add_tokens(struct list *list, const char *account, struct err *err)
{
	const char *dialect;

	if (conf_text(list->conf, arena_printf(list->arena, "account/%s", account), "dialect", &dialect, err) < 0)
		return -1;
	if (strcmp(dialect, "launchpad") != 0)
		return 0;
	const struct vault_item items[] = {
		{VAULT_GIVEN, within(list, arena_printf(list->arena, "brain/launchpad-%s", account)), list->brain,
			arena_printf(list->arena, TOKEN_HOW, list->brain), NULL},
		{VAULT_GIVEN, within(list, arena_printf(list->arena, "land/launchpad-%s", account)), list->land,
			arena_printf(list->arena, TOKEN_HOW, list->land), NULL},
	};
	return add(list, &items[0], err) < 0 || add(list, &items[1], err) < 0 ? -1 : 0;
}

/* Where a project is read over ssh: the keys for that. Its account's tokens. */
static int add_remote(struct list *list, struct err *err)
{
	const struct vault_item keys[] = {
		{VAULT_SSH, within(list, "brain/id_ed25519"), list->brain, NULL, NULL},
		{VAULT_SSH, within(list, "slave/id_ed25519"), list->slave, NULL, NULL},
	};

	for (const char *const *name = conf_sections(list->conf, list->arena, "project"); *name; name++) {
		const char *section = arena_printf(list->arena, "project/%s", *name), *place, *account;

		if (conf_text(list->conf, section, "repository.read", &place, err) < 0 ||
			conf_text(list->conf, section, "account", &account, err) < 0 || add_tokens(list, account, err) < 0)
			return -1;
		if (strncmp(place, "ssh://", 6) == 0 && (add(list, &keys[0], err) < 0 || add(list, &keys[1], err) < 0))
			return -1;
	}
	return 0;
}

static int add_keys(struct list *list, struct err *err)
{
	const char *slave;

	if (conf_text(list->conf, NULL, "slave.name", &slave, err) < 0)
		return -1;
	const char *public = arena_printf(list->arena, "%s/etc/byoci/%s/result-keys/%s", verb_root(), conf_namespace(list->conf), slave);
	const struct vault_item items[] = {
		{VAULT_RESULT, within(list, "slave/result.key"), list->slave, arena_printf(list->arena, "%s.pub", public), NULL},
		{VAULT_RESULT, within(list, "land/result.key"), list->land,
			arena_printf(list->arena, "%s" LANDED_KEY_SUFFIX ".pub", public), NULL},
		{VAULT_SSH, within(list, "land/id_ed25519"), list->land, NULL, NULL},
		{VAULT_SSH, within(list, "git/ssh_host_ed25519_key"), list->git, NULL, NULL},
	};

	for (size_t i = 0; i < sizeof items / sizeof items[0]; i++)
		if (add(list, &items[i], err) < 0)
			return -1;
	return add_landing_keys(list, err) < 0 ? -1 : add_remote(list, err);
}

/* In the order in which they are made. */
static int make_list(struct list *list, struct err *err)
{
	const struct {
		const char *option;
		const char **to;
	} texts[] = {{"secrets", &list->folder}, {"user", &list->brain}, {"slave.user", &list->slave}, {"land.user", &list->land},
		{"git.user", &list->git}};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (conf_text(list->conf, NULL, texts[i].option, texts[i].to, err) < 0)
			return -1;
	if (add_folders(list, err) < 0 || add_hooks(list, err) < 0)
		return -1;
	return add_keys(list, err);
}

/* The folder of all, and in it one of the caller's alone where new secrets grow. */
static int open_stage(const struct list *list, char *stage, size_t room, struct err *err)
{
	const char *keys = arena_printf(list->arena, "%s/etc/byoci/%s/result-keys", verb_root(), conf_namespace(list->conf));

	if (file_make_folder(list->folder, 0755, err) < 0 || file_make_folder(keys, 0755, err) < 0)
		return -1;
	if ((size_t)snprintf(stage, room, "%s/.new.XXXXXX", list->folder) >= room)
		return err_set(err, ERR_CONFIG, "secrets: %s is too long", list->folder);
	if (!mkdtemp(stage))
		return err_set_errno(err, errno, "%s: a new folder in it (run this as root)", list->folder);
	return 0;
}

static void tell(json_t *json, const struct vault_item *item, enum vault_state state, const char *why)
{
	if (json)
		json_array_append_new(json,
			json_pack("{s:o, s:s, s:o}", "path", text_json(item->path), "state", vault_state_word(state), "why", text_json(why)));
	else if (state == VAULT_WRONG)
		fprintf(stderr, "byoci secrets: %s: %s\n", item->path, why);
	else if (state != VAULT_GOOD)
		printf("%s %s\n", vault_state_word(state), item->path);
}

/* One item: looked at and, unless `stage` is NULL, made. False: not as it must be in the end. */
static int settle(
	const struct list *list, const struct vault_item *item, const char *stage, json_t *json, bool *good, struct err *err)
{
	enum vault_state state;
	const char *why;

	if (vault_check(list->arena, item, &state, &why, err) < 0)
		return -1;
	if (state == VAULT_MISSING && stage) {
		if (vault_make(list->arena, item, stage, err) < 0)
			return -1;
		state = VAULT_MADE;
	}
	*good = *good && (state == VAULT_GOOD || state == VAULT_MADE);
	tell(json, item, state, why);
	return 0;
}

/* What an attempt that failed has left in the stage. */
static void close_stage(const struct list *list, const char *stage)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *name = strrchr(list->items[i].path, '/') + 1;

		unlink(arena_printf(list->arena, "%s/%s", stage, name));
		unlink(arena_printf(list->arena, "%s/%s.pub", stage, name));
		rmdir(arena_printf(list->arena, "%s/%s", stage, name));
	}
	rmdir(stage);
}

static int settle_all(const struct list *list, bool check, json_t *json, bool *good, struct err *err)
{
	char stage[4096];
	int done = 0;

	if (!check && open_stage(list, stage, sizeof stage, err) < 0)
		return -1;
	for (size_t i = 0; done == 0 && i < list->count; i++)
		done = settle(list, &list->items[i], check ? NULL : stage, json, good, err);
	if (!check)
		close_stage(list, stage);
	return done;
}

int secrets_verb(const struct verb_call *call)
{
	struct list list = {.conf = call->conf, .arena = arena_new()};
	bool check = false, good = true;
	const struct verb_option options[] = {{.name = "--check", .flag = &check}, {.name = NULL}};
	json_t *json = call->json ? json_array() : NULL;
	const char *rest[1];
	struct err err;
	int done = verb_options(call, options, rest, 0, &err);

	umask(077);
	if (done == 0)
		done = make_list(&list, &err);
	if (done == 0)
		done = settle_all(&list, check, json, &good, &err);
	if (json) {
		json_dumpf(json, stdout, JSON_INDENT(1));
		putchar('\n');
	}
	json_decref(json);
	arena_free(list.arena);
	if (done < 0)
		return verb_fail(call, &err);
	return good ? 0 : outcome_exit(OUTCOME_REFUSED);
}
