#include "slaves/agent/guest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/jsonget.h"
#include "base/sock.h"
#include "forge/outcome.h"
#include "forge/spec.h"
#include "forge/sshkey.h"
#include "slaves/agent/shell.h"
#include "slaves/agent/usher.h"
#include "slaves/common/output.h"

#define GUEST_NODES 16
#define GUEST_WAIT_S 60 /* for an answer: keys from forges, and a copy that is made */

/* Only a key as it can stand in a line for sshd. */
static const char *check_key(const struct program *program, const char *type, const char *base64, struct err *err)
{
	const char *line = arena_printf(program->arena, "%s %s", type, base64);
	const char *key = sshkey_of_line(program->arena, line, strlen(line));

	if (key && strcmp(key, line) == 0)
		return key;
	err_set(err, ERR_INPUT, "not a public key that is taken here");
	return NULL;
}

/* Takes the request over; the reply, and the descriptor that came with it (-1: none). */
static json_t *ask(const struct program *program, json_t *request, int *passed, struct err *err)
{
	const struct timeval limit = {.tv_sec = GUEST_WAIT_S};
	const char *path = program_option(program, "author.socket", err);
	int fd = path ? sock_connect(path, SOCK_SEQPACKET, err) : -1;
	char *text = json_dumps(request, JSON_COMPACT), bytes[USHER_MAXIMUM];
	int descriptors[SOCK_DESCRIPTORS];
	size_t count = 0;
	json_t *reply = NULL;
	ssize_t length = -1;

	*passed = -1;
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (fd >= 0 && text && sock_send(fd, text, strlen(text), NULL, 0, err) == 0)
		length = sock_receive(fd, bytes, sizeof bytes, descriptors, &count, err);
	if (length > 0)
		reply = jsonget_parse(bytes, (size_t)length, GUEST_NODES, err);
	else if (err->kind == ERR_NONE)
		err_set(err, ERR_BUSY, "nobody is let in at this moment: try again later");
	while (count > 1)
		close(descriptors[--count]);
	if (count)
		*passed = descriptors[0];
	if (fd >= 0)
		close(fd);
	free(text);
	json_decref(request);
	return reply;
}

int guest_key(const struct program *program, const char *type, const char *base64)
{
	struct err err = {0};
	const char *key = check_key(program, type, base64, &err), *libexec = program_option(program, "libexec", &err);
	json_t *reply = NULL;
	int passed = -1;

	if (key && libexec)
		reply = ask(program, json_pack("{s:s}", "key", key), &passed, &err);
	if (passed >= 0)
		close(passed);
	if (reply && jsonget_string_or(reply, "who", NULL))
		printf("command=\"%s/bin/byoci-slave -n %s author %s\",restrict,pty %s\n", libexec, conf_namespace(program->conf), key, key);
	json_decref(reply);
	return 0;
}

/* NULL: none is named. */
static int wanted_build(const char **build, struct err *err)
{
	const char *command = getenv("SSH_ORIGINAL_COMMAND");

	*build = command && *command ? command : NULL;
	if (!*build || spec_build_valid(*build))
		return 0;
	return err_set(err, ERR_INPUT, "nothing can be run here but a shell in a copy of a build's worker: say the id of a build, or nothing");
}

static int enter(const struct program *program, const char *key, json_t **reply, int *passed, struct err *err)
{
	const char *build = NULL, *from = getenv("SSH_CONNECTION"), *error;

	if (wanted_build(&build, err) < 0)
		return -1;
	*reply = ask(program, json_pack("{s:s, s:s?, s:s}", "key", key, "build", build, "from", from ? from : ""), passed, err);
	error = jsonget_string_or(*reply, "error", NULL);
	if (!*reply || error)
		return error ? err_set(err, ERR_REFUSED, "%s", error) : -1;
	return *passed >= 0 ? 0 : err_set(err, ERR_SYSTEM, "no copy came with the answer");
}

static void greet(const struct program *program, const json_t *reply)
{
	const char *text = arena_printf(program->arena, "%s: a copy of what the tests of %s in %s left, build %s, for %lld minutes at most; "
		"it goes when you leave", jsonget_string_or(reply, "who", ""), jsonget_string_or(reply, "proposal", ""),
		jsonget_string_or(reply, "project", ""), jsonget_string_or(reply, "build", ""),
		(long long)(jsonget_integer_or(reply, "seconds", 0) + 59) / 60);

	fprintf(stderr, "byoci: %s\n", output_line(program->arena, text, strlen(text), 1024));
}

int guest_verb(const struct program *program, const char *type, const char *base64)
{
	struct err err = {0};
	const char *key = check_key(program, type, base64, &err);
	json_t *reply = NULL;
	int passed = -1, status;

	if (!key || enter(program, key, &reply, &passed, &err) < 0) {
		fprintf(stderr, "byoci: %s\n", output_line(program->arena, err.text, strlen(err.text), sizeof err.text));
		status = outcome_exit(OUTCOME_REFUSED);
	} else {
		greet(program, reply);
		status = shell_in_copy(passed, jsonget_string_or(reply, "build", ""));
	}
	json_decref(reply);
	return status;
}
