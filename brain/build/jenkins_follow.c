#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "build/build.h"
#include "build/jenkins_run.h"
#include "master/verdict.h"

#define LOG_MAXIMUM ((int64_t)4 * 1024 * 1024 * 1024) /* bytes of one answer */
enum { PIECE = 65536, PAUSE_MAXIMUM_MS = 1000, FORGOTTEN = 3 };

static void on_time(void *cookie);
static void ask_end(struct jenkins_run *run);

static const char *text_of(struct jenkins_run *run, const char *what)
{
	const struct site *site = master_site(run->one->master);

	return arena_printf(run->arena, "%s%s/%lld/ %s", site->url, run->path, (long long)run->number, what);
}

/* --- its end */

static void conclude(struct jenkins_run *run, const char *how)
{
	const char *line = jenkins_log_line(run->log);

	CRASH_POINT("jenkins.ended");
	if (line)
		jenkins_run_answer(run, OUTCOME_SUCCESS, line);
	else if (run->cancelled)
		jenkins_run_answer(run, OUTCOME_CANCELLED, "");
	else
		jenkins_run_answer(run, OUTCOME_INFRASTRUCTURE, text_of(run, how));
}

/* A build that was there, and is not: only when the master says so again and again. */
static void forgotten(struct jenkins_run *run)
{
	if (++run->gone < FORGOTTEN)
		jenkins_run_after(run, PAUSE_MAXIMUM_MS, on_time);
	else
		conclude(run, "is not there any more: the master has forgotten it, or its job has another name now");
}

static void on_end(void *cookie, const struct http_reply *reply, bool sent, const struct err *err)
{
	struct jenkins_run *run = cookie;
	struct err why = {.kind = ERR_NONE};
	struct sighting_end end = {.building = true};
	const char *nonce = NULL;
	json_t *json = NULL;

	(void)sent;
	run->call = NULL;
	if (!reply)
		why = *err;
	else if (reply->status == 404)
		why.kind = ERR_NOT_FOUND;
	else if (reply->status != 200)
		verdict_refusal(master_site(run->one->master)->url, reply, run->path, &why);
	else if ((json = verdict_json(reply, &why)) && sighting_end(json, &end, &why) == 0 && sighting_nonce(json, &nonce, &why) == 0 &&
		strcmp(nonce, run->act->key) != 0)
		why.kind = ERR_NOT_FOUND;
	if (why.kind == ERR_NOT_FOUND) {
		forgotten(run);
	} else if (why.kind != ERR_NONE) {
		jenkins_run_trouble(run, why.text, on_time);
	} else if (end.building) {
		run->failures = run->gone = 0;
		jenkins_run_after(run, jenkins_run_pause(run, PAUSE_MAXIMUM_MS), on_time);
	} else {
		conclude(run, arena_printf(run->arena, "ended as %.40s without a signed result", *end.result ? end.result : "nothing"));
	}
	json_decref(json);
}

static void ask_end(struct jenkins_run *run)
{
	const char *path = arena_printf(
		run->arena, "%s/%lld/api/json?tree=%s", run->path, (long long)run->number, site_escape(run->arena, SIGHTING_BUILD));

	run->call = master_ask(run->one->master, &(struct master_request){.path = path}, on_end, run);
}

/* --- its log */

static int take_spool(struct jenkins_run *run, bool *grew, struct err *err)
{
	char piece[PIECE];
	ssize_t got;

	*grew = false;
	if (lseek(run->spool, 0, SEEK_SET) < 0)
		return err_set_errno(err, errno, "what came of a log");
	while ((got = read(run->spool, piece, sizeof piece)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set_errno(err, errno, "what came of a log");
		if (jenkins_log_add(run->log, piece, (size_t)got, err) < 0)
			return -1;
		*grew = true;
	}
	return 0;
}

/* `size`: the master's count of all that it has. What comes from before our place is all of it: the master has lost what we had. */
static int take_log(struct jenkins_run *run, int64_t size, struct err *err)
{
	const struct brain *brain = run->act->brain;
	bool grew;

	if (size < run->offset && jenkins_log_restart(run->log, err) < 0)
		return -1;
	if (take_spool(run, &grew, err) < 0)
		return -1;
	run->offset = size;
	if (!grew)
		return 0;
	CRASH_POINT("jenkins.logged");
	run->pause_ms = 0;
	if (run->kind->logged && brain->ears.log_grew)
		brain->ears.log_grew(brain->ears.cookie, run->act->key);
	return 0;
}

/* The headers of a log's reply. -1: what answers is no log. */
static int64_t size_of(const struct http_reply *reply, bool *more)
{
	struct arena *arena = arena_new();
	const char *size = http_header(reply, arena, "X-Text-Size"), *rest = http_header(reply, arena, "X-More-Data");
	int64_t value = -1;

	if (size && *size && strspn(size, "0123456789") == strlen(size) && strlen(size) <= 18)
		value = strtoll(size, NULL, 10);
	*more = rest && strcmp(rest, "true") == 0;
	arena_free(arena);
	return value;
}

static void on_log(void *cookie, const struct http_reply *reply, bool sent, const struct err *err)
{
	struct jenkins_run *run = cookie;
	struct err why = {.kind = ERR_NONE};
	int64_t size;
	bool more;

	(void)sent;
	run->call = NULL;
	if (!reply) {
		jenkins_run_trouble(run, err->text, on_time);
	} else if (reply->status == 404) {
		ask_end(run);
	} else if (reply->status != 200) {
		verdict_refusal(master_site(run->one->master)->url, reply, run->path, &why);
		jenkins_run_trouble(run, why.text, on_time);
	} else if ((size = size_of(reply, &more)) < 0) {
		jenkins_run_trouble(run, text_of(run, "answers with a page in place of its log: is it a proxy that answers?"), on_time);
	} else if (take_log(run, size, &why) < 0) {
		jenkins_run_again(run, why.text);
	} else if (more) {
		run->failures = run->gone = 0;
		jenkins_run_after(run, jenkins_run_pause(run, PAUSE_MAXIMUM_MS), on_time);
	} else {
		ask_end(run);
	}
}

static void on_time(void *cookie)
{
	struct jenkins_run *run = cookie;
	struct arena *arena = arena_new();

	run->timer = NULL;
	if (ftruncate(run->spool, 0) < 0 || lseek(run->spool, 0, SEEK_SET) < 0) {
		jenkins_run_again(run, "what comes of a log can't be kept: is the disk full?");
	} else {
		const struct master_request request = {
			.path = arena_printf(arena, "%s/%lld/logText/progressiveText?start=%lld", run->path, (long long)run->number,
				(long long)run->offset),
			.to = &run->spool,
			.to_maximum = LOG_MAXIMUM,
		};

		run->call = master_ask(run->one->master, &request, on_log, run);
	}
	arena_free(arena);
}

void jenkins_follow_begin(struct jenkins_run *run)
{
	const struct brain *brain = run->act->brain;
	const char *path = run->kind->logged ? build_log_path(brain, run->arena, run->act->key) : NULL;
	struct err err = {.kind = ERR_NONE};

	run->failures = 0;
	run->pause_ms = 0;
	run->log = jenkins_log_open(path, run->kind->begins, &err);
	if (run->log)
		run->spool = open(brain->logs, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (run->log && run->spool < 0)
		err_set_errno(&err, errno, "%s: no temporary file", brain->logs);
	if (run->spool < 0) {
		jenkins_run_again(run, err.text);
		return;
	}
	if (run->kind->logged)
		calls_progress(run->act, "began");
	CRASH_POINT("jenkins.started");
	on_time(run);
}
