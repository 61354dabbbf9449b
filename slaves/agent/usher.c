#include "slaves/agent/usher.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/jsonget.h"
#include "base/log.h"
#include "base/sock.h"
#include "forge/outcome.h"
#include "forge/sshkey.h"
#include "slaves/cage/kept.h"
#include "slaves/test/author.h"
#include "slaves/test/keyring.h"
#include "slaves/worker/worker_client.h"

#define USHER_NODES 16
#define USHER_WAIT_S 10 /* for its request */

struct usher {
	const struct program *program;
	const char *key, *build, *from; /* of the request; NULL */
	bool enter;
	struct author authors[KEPT_MAXIMUM]; /* who may be let in */
	struct keyring ring;
	struct author found[KEPT_MAXIMUM];   /* what the key opens */
	size_t count;
	struct worker_client *client;
};

static int take_request(struct usher *usher, struct err *err)
{
	const struct timeval limit = {.tv_sec = USHER_WAIT_S};
	struct arena *arena = usher->program->arena;
	int descriptors[SOCK_DESCRIPTORS];
	char bytes[USHER_MAXIMUM];
	const char *key;
	size_t count = 0;
	json_t *json;
	ssize_t length;

	setsockopt(STDIN_FILENO, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	length = sock_receive(STDIN_FILENO, bytes, sizeof bytes, descriptors, &count, err);
	while (count)
		close(descriptors[--count]);
	json = length > 0 ? jsonget_parse(bytes, (size_t)length, USHER_NODES, err) : NULL;
	if (!json)
		return err->kind == ERR_NONE ? err_set(err, ERR_INPUT, "nothing was asked") : -1;
	key = jsonget_string_or(json, "key", "");
	usher->key = sshkey_of_line(arena, key, strlen(key));
	usher->enter = json_object_get(json, "build") != NULL;
	usher->build = jsonget_string_or(json, "build", NULL) ? arena_strdup(arena, jsonget_string_or(json, "build", "")) : NULL;
	usher->from = arena_strdup(arena, jsonget_string_or(json, "from", ""));
	json_decref(json);
	return usher->key ? 0 : err_set(err, ERR_INPUT, "not a public key that is taken here");
}

/* The authors of what is kept. One build that can't be looked at keeps nobody from another. */
static int gather(struct usher *usher, size_t *count, struct err *err)
{
	struct arena *arena = usher->program->arena;
	struct kept kept[KEPT_MAXIMUM];
	struct kept_room room;
	const char *folder;
	size_t many;

	*count = 0;
	if (kept_place(usher->program->conf, arena, &folder, &room, err) < 0)
		return -1;
	many = kept_list(arena, folder, room, kept, KEPT_MAXIMUM);
	for (size_t i = 0; i < many; i++) {
		struct err trouble = {0};

		if (!kept[i].copy && author_read(usher->program, kept[i].build, &usher->authors[*count], &trouble) > 0)
			++*count;
		if (trouble.kind != ERR_NONE)
			log_warning(LOG_WHAT("an author's build can't be looked at"), LOG_TEXT("build", kept[i].build), LOG_ERR(&trouble));
	}
	return 0;
}

/* Whose author has the key. */
static int find(struct usher *usher, struct err *err)
{
	struct keyring *ring = &usher->ring;
	size_t count;

	if (gather(usher, &count, err) < 0)
		return -1;
	*ring = (struct keyring){.program = usher->program, .authors = usher->authors, .count = count, .key = usher->key, .build = usher->build,
		.one = !usher->enter};
	keyring_find(ring);
	for (size_t i = 0; i < count; i++)
		if (ring->has[i])
			usher->found[usher->count++] = usher->authors[i];
	return usher->count ? 0 : err_set(err, ERR_REFUSED, "this key opens nothing that is kept");
}

static const struct author *choose(const struct usher *usher, struct err *err)
{
	const char *list = "";

	for (size_t i = 0; usher->build && i < usher->count; i++)
		if (strcmp(usher->found[i].build, usher->build) == 0)
			return &usher->found[i];
	if (!usher->build && usher->count == 1)
		return &usher->found[0];
	for (size_t i = 0; i < usher->count; i++)
		list = arena_printf(usher->program->arena, "%s %s (%s of %s)", list, usher->found[i].build, usher->found[i].proposal,
			usher->found[i].project);
	err_set(err, ERR_INPUT, "%s:%.900s", usher->build ? "that is not one of the builds that you may look at" : "say which build", list);
	return NULL;
}

/* The copy is the other side's when it has the connection, and goes when that side does. */
static json_t *enter(struct usher *usher, struct err *err)
{
	const struct program *program = usher->program;
	const char *path = program_option(program, "worker.socket", err);
	const struct author *author = path ? choose(usher, err) : NULL;
	char print[SSHKEY_FINGERPRINT];

	if (!author)
		return NULL;
	sshkey_fingerprint(program->arena, usher->key, print);
	usher->client = worker_client_connect(path, err);
	if (!usher->client || worker_client_copy(usher->client, author->build, (uint32_t)(author->limit_ms / 1000), err) < 0)
		log_warning(LOG_WHAT("an author is not let in"), LOG_TEXT("author", author->who), LOG_TEXT("project", author->project),
			LOG_TEXT("build", author->build), LOG_ERR(err));
	else
		log_info(LOG_WHAT("an author is let into a copy"), LOG_TEXT("author", author->who), LOG_TEXT("project", author->project),
			LOG_TEXT("proposal", author->proposal), LOG_TEXT("build", author->build), LOG_TEXT("key", print),
			LOG_TEXT("from", usher->from));
	if (err->kind != ERR_NONE)
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:s, s:I}", "who", author->who, "build", author->build, "project", author->project, "proposal",
		author->proposal, "seconds", (json_int_t)(author->limit_ms / 1000));
}

static json_t *answer(struct usher *usher, struct err *err)
{
	if (take_request(usher, err) < 0 || find(usher, err) < 0)
		return NULL;
	return usher->enter ? enter(usher, err) : json_pack("{s:s}", "who", usher->found[0].who);
}

int usher_verb(const struct program *program)
{
	static struct usher usher;
	struct err err = {0};
	char *text;
	int fd, sent;

	usher.program = program;
	json_t *reply = answer(&usher, &err);
	if (!reply)
		reply = json_pack("{s:s}", "error", err.text);
	text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
	fd = usher.client ? worker_client_fd(usher.client) : -1;
	sent = text ? sock_send(STDIN_FILENO, text, strlen(text), &fd, err.kind == ERR_NONE && fd >= 0 ? 1 : 0, &err) : -1;
	free(text);
	json_decref(reply);
	worker_client_close(usher.client);
	close(STDIN_FILENO);
	keyring_finish(&usher.ring);
	return sent < 0 ? outcome_exit(OUTCOME_INFRASTRUCTURE) : 0;
}
