#include "slaves/land/byhand.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/jsonget.h"
#include "slaves/common/ending.h"
#include "slaves/common/talk.h"

#define BYHAND_TRIES 3 /* when the target or the proposal moves while it is tested */
#define BYHAND_READY_S 5

struct work {
	const struct program *program;
	const struct byhand *byhand;
	const char *slave, *land; /* sockets */
};

/* Whether a server at HOST:PORT answers GET /readyz with 200: 1, 0. */
static int answers_ready(const char *address, struct arena *arena)
{
	static const char request[] = "GET /readyz HTTP/1.0\r\n\r\n";
	const struct timeval limit = {.tv_sec = BYHAND_READY_S};
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	const char *colon = strrchr(address, ':');
	char reply[13] = "";
	int ready = 0;

	if (!colon || getaddrinfo(arena_printf(arena, "%.*s", (int)(colon - address), address), colon + 1, &hints, &found) != 0)
		return 0;
	int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		goto err0;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(fd, found->ai_addr, found->ai_addrlen) == 0 && send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0)
		ready = recv(fd, reply, sizeof reply - 1, MSG_WAITALL) == sizeof reply - 1 && strcmp(reply + 8, " 200") == 0;
	close(fd);
err0:
	freeaddrinfo(found);
	return ready;
}

static int check_brain(const struct work *work, struct err *err)
{
	const char *address = program_option(work->program, "pages.listen", err);

	if (!address)
		return -1;
	if (!work->byhand->force && answers_ready(address, work->program->arena))
		return err_set(
			err, ERR_REFUSED, "the brain is up (http://%s/readyz): it lands what is approved; --force does it all the same", address);
	return 0;
}

/* A name without a file (unix(7), abstract): it is free again when the process ends. */
static int take_turn(const struct work *work, struct err *err)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	const struct program *program = work->program;
	char digest[CRYPTO_SHA256_HEX];

	const char *what =
		arena_printf(program->arena, "%s\n%s\n%s", conf_namespace(program->conf), work->byhand->project, work->byhand->target);
	crypto_sha256(what, strlen(what), digest);
	size_t length = (size_t)snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "byoci-land-approved-%s", digest);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set_errno(err, errno, "make a socket");
	if (bind(fd, (const struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)) == 0)
		return fd;
	int number = errno;
	close(fd);
	if (number == EADDRINUSE)
		return err_set(err, ERR_BUSY, "another land-approved is at work on %s: wait for its end", work->byhand->target);
	return err_set_errno(err, number, "take the turn for %s", work->byhand->target);
}

static json_t *draft(const struct work *work, const char *proposal, struct err *err)
{
	json_t *request = json_pack("{s:s, s:s, s:s}", "op", "draft", "project", work->byhand->project, "proposal", proposal);
	json_t *reply = talk_ask(work->land, request, TALK_LAND_MS, err);
	json_t *spec = NULL;

	json_decref(request);
	if (reply && jsonget_object(reply, "spec", &spec, err) == 0)
		json_incref(spec);
	json_decref(reply);
	return spec;
}

static int test(const struct work *work, json_t *spec, struct talk_following *following, struct err *err)
{
	json_t *request = json_pack("{s:s, s:O}", "op", "start", "spec", spec);
	json_t *reply = talk_ask(work->slave, request, TALK_REPLY_MS, err);

	json_decref(request);
	if (!reply)
		return -1;
	json_decref(reply);
	*following = (struct talk_following){
		.socket = work->slave, .build = jsonget_string_or(spec, "build", ""), .arena = work->program->arena};
	return talk_follow(following, err) < 0 ? -1 : 0;
}

/* How it ended, and in which words. */
struct end {
	enum outcome outcome;
	const char *what, *reason, *merge;
};

static int land(const struct work *work, json_t *spec, const char *line, struct end *end, struct err *err)
{
	json_t *request = json_pack("{s:s, s:O, s:s}", "op", "land", "spec", spec, "result", line);
	json_t *reply = talk_ask(work->land, request, TALK_LAND_MS, err);
	const char *merge = jsonget_string_or(reply, "merge", NULL);
	int done = -1;

	json_decref(request);
	if (!reply)
		return -1;
	if (outcome_from_word(jsonget_string_or(reply, "outcome", ""), &end->outcome)) {
		end->what = "landing";
		end->reason = arena_strdup(work->program->arena, jsonget_string_or(reply, "reason", ""));
		end->merge = merge ? arena_strdup(work->program->arena, merge) : end->merge;
		done = 0;
	} else {
		err_set(err, ERR_SYSTEM, "the land daemon answered without an outcome");
	}
	json_decref(reply);
	return done;
}

static int report(const struct work *work, const char *proposal, const char *approved, const struct end *end, struct err *err)
{
	bool landed = end->outcome == OUTCOME_SUCCESS || end->outcome == OUTCOME_LANDED;
	struct arena *arena = work->program->arena;
	const char *text = landed
		? arena_printf(arena, "%.12s landed on %s as %s.\n\nLanded by hand.\n", approved, work->byhand->target, end->merge)
		: arena_printf(arena, "%.12s was not landed. The %s ended with: %s%s%s.\n", approved, end->what, outcome_word(end->outcome),
			  *end->reason ? ": " : "", end->reason);
	json_t *request = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:s}", "op", "report", "project", work->byhand->project, "proposal",
		proposal, "kind", landed ? "landed" : "rejected", "approved", approved, "merge", end->merge, "text", text);
	json_t *reply = request ? talk_ask(work->land, request, TALK_LAND_MS, err) : NULL;
	const char *word = jsonget_string_or(reply, "outcome", "");
	int done = reply ? 0 : -1;

	if (reply && strcmp(word, outcome_word(OUTCOME_SUCCESS)) != 0)
		done = err_set(err, ERR_SYSTEM, "the report ended with %s: %s", word, jsonget_string_or(reply, "reason", ""));
	json_decref(reply);
	json_decref(request);
	return done;
}

static int test_and_land(const struct work *work, const char *proposal, struct end *end, struct err *err)
{
	struct talk_following following;
	json_t *spec = draft(work, proposal, err);
	int done = spec ? test(work, spec, &following, err) : -1;

	if (done == 0) {
		end->outcome = following.outcome;
		end->merge = ending_merge(work->program->arena, following.line);
		if (following.outcome == OUTCOME_SUCCESS)
			done = land(work, spec, following.line, end, err);
	}
	json_decref(spec);
	return done;
}

/* What the proposal itself is to blame for, or is glad of; the rest is for who ran this. */
static bool worth_telling(enum outcome outcome)
{
	return outcome == OUTCOME_SUCCESS || outcome == OUTCOME_LANDED || outcome == OUTCOME_FAILURE || outcome == OUTCOME_CONFLICT ||
		outcome == OUTCOME_TIMEOUT || outcome == OUTCOME_REFUSED;
}

static enum outcome one(const struct work *work, const char *proposal, const char *approved)
{
	struct end end = {.outcome = OUTCOME_MOVED};
	struct err err = {0};
	int done = 0;

	for (int i = 0; i < BYHAND_TRIES && done == 0 && end.outcome == OUTCOME_MOVED; i++) {
		end = (struct end){.what = "build", .reason = ""};
		done = test_and_land(work, proposal, &end, &err);
	}
	if (done < 0) {
		fprintf(stderr, "byoci-slave land-approved: %s: %s\n", proposal, err.text);
		return ending_of_error(&err);
	}
	printf("%s %s: %s%s%s\n", proposal, approved, outcome_word(end.outcome), *end.reason ? ": " : "", end.reason);
	fflush(stdout);
	if (worth_telling(end.outcome) && report(work, proposal, approved, &end, &err) < 0)
		fprintf(stderr, "byoci-slave land-approved: %s: the proposal could not be told: %s\n", proposal, err.text);
	return end.outcome;
}

static int all(const struct work *work, const json_t *list)
{
	enum outcome first = json_array_size(list) > 0 ? OUTCOME_SUCCESS : OUTCOME_NOTHING;
	json_t *value;
	size_t i;

	json_array_foreach(list, i, value) {
		enum outcome outcome = one(work, jsonget_string_or(value, "proposal", ""), jsonget_string_or(value, "commit", ""));
		if (first == OUTCOME_SUCCESS && outcome != OUTCOME_LANDED)
			first = outcome;
	}
	return outcome_exit(first);
}

int byhand_land_approved(const struct program *program, const struct byhand *byhand)
{
	static const char heads[] = "refs/heads/";
	struct byhand full = *byhand;
	struct work work = {.program = program, .byhand = &full};
	struct err err = {0};
	json_t *request = NULL, *reply = NULL, *list = NULL;
	int turn = -1, done = -1;

	if (strncmp(byhand->target, "refs/", 5) != 0)
		full.target = arena_printf(program->arena, "%s%s", heads, byhand->target);
	work.slave = program_option(program, "slave.socket", &err);
	work.land = work.slave ? program_option(program, "land.socket", &err) : NULL;
	if (!work.land || check_brain(&work, &err) < 0 || (turn = take_turn(&work, &err)) < 0)
		goto err0;
	request = json_pack("{s:s, s:s, s:s}", "op", "approved", "project", full.project, "target", full.target);
	reply = request ? talk_ask(work.land, request, TALK_LAND_MS, &err) : NULL;
	if (reply && jsonget_array(reply, "approved", &list, &err) == 0)
		done = all(&work, list);
	close(turn);
err0:
	json_decref(reply);
	json_decref(request);
	if (done < 0) {
		fprintf(stderr, "byoci-slave land-approved: %s\n", err.text);
		return outcome_exit(ending_of_error(&err));
	}
	return done;
}
