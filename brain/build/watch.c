#include "build/watch.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonget.h"
#include "base/log.h"
#include "build/masters.h"
#include "master/site.h"
#include "master/verdict.h"

#define HEADER "byoci-health-1 "
#define OURS "byoci: " /* how the reason of what we took offline begins */

enum { LOG_MAXIMUM = 256 * 1024, REASON = 200, EVERY_MS = 60000 };

struct pair {
	const char *master, *slave;
};

struct watch {
	struct brain *brain;
	struct loop_source *timer;
	struct arena *arena; /* of one round */
	struct pair *pairs;
	size_t count, at;
	struct masters_one *one;
	struct master_call *call;
	struct watch_word word;
	enum watch_act act;
};

static void on_time(void *cookie);
static void next(struct watch *watch);

/* --- what a job said */

/* A reason stands in pages of masters, some of which write it as it is. */
static char *plain(struct arena *arena, const char *text, size_t length)
{
	char *out = arena_memdup(arena, text, length < REASON ? length : REASON);

	for (char *at = out; *at; at++)
		if ((unsigned char)*at < ' ' || (unsigned char)*at > '~' || strchr("<>&\"'", *at))
			*at = ' ';
	return out;
}

static bool read_line(struct arena *arena, const char *line, size_t length, const char *slave, struct watch_word *word)
{
	const char *begin = arena_printf(arena, HEADER "%s ", slave), *rest;
	size_t size = strlen(begin);

	while (length && strchr("\r ", line[length - 1]))
		length--;
	if (length < size || memcmp(line, begin, size) != 0)
		return false;
	rest = arena_memdup(arena, line + size, length - size);
	if (strcmp(rest, "well") == 0) {
		*word = (struct watch_word){.well = true, .reason = ""};
		return true;
	}
	if (strncmp(rest, "unwell", 6) != 0 || (rest[6] && rest[6] != ' '))
		return false;
	*word = (struct watch_word){.well = false, .reason = plain(arena, rest + 6 + (rest[6] == ' '), strlen(rest))};
	return true;
}

bool watch_read(struct arena *arena, const char *log, size_t length, const char *slave, struct watch_word *word)
{
	bool found = false;

	for (const char *at = log, *end = log + length; at < end;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t size = (size_t)((stop ? stop : end) - at);

		if (size > strlen(HEADER) && memcmp(at, HEADER, strlen(HEADER)) == 0)
			found |= read_line(arena, at, size, slave, word);
		at += size + 1;
	}
	return found;
}

enum watch_act watch_decide(const struct watch_word *word, bool taken, const char *cause)
{
	if (!taken)
		return word->well ? WATCH_LEAVE : WATCH_AWAY;
	return word->well && strstr(cause, OURS) ? WATCH_BACK : WATCH_LEAVE;
}

/* --- one after the other */

/* Ends what is about this one. */
static void finish(struct watch *watch)
{
	if (watch->one)
		masters_give(watch->one);
	watch->one = NULL;
	watch->at++;
}

static void on_told(void *cookie, const struct http_reply *reply, bool sent, const struct err *err)
{
	struct watch *watch = cookie;
	const char *slave = watch->pairs[watch->at].slave;
	struct err why = {.kind = ERR_NONE};

	(void)sent;
	watch->call = NULL;
	if (!reply)
		why = *err;
	else if (reply->status != 200 && reply->status != 302 && reply->status != 303)
		verdict_refusal(master_site(watch->one->master)->url, reply, slave, &why);
	if (why.kind != ERR_NONE)
		log_warning(LOG_WHAT("node not changed"), LOG_TEXT("slave", slave), LOG_ERR(&why));
	else if (watch->act == WATCH_AWAY)
		log_warning(LOG_WHAT("slave is unwell: taken offline"), LOG_TEXT("slave", slave), LOG_TEXT("why", watch->word.reason));
	else
		log_info(LOG_WHAT("slave is well again: back"), LOG_TEXT("slave", slave));
	finish(watch);
	next(watch);
}

static const char *node_path(struct watch *watch, const char *what)
{
	return arena_printf(watch->arena, "computer/%s/%s", site_escape(watch->arena, watch->pairs[watch->at].slave), what);
}

static void tell(struct watch *watch)
{
	const char *reason = watch->act == WATCH_AWAY ? arena_printf(watch->arena, OURS "%s", watch->word.reason) : "";
	const struct master_request request = {.path = node_path(watch, "toggleOffline"),
		.form = arena_printf(watch->arena, "offlineMessage=%s", site_escape(watch->arena, reason))};

	watch->call = master_ask(watch->one->master, &request, on_told, watch);
}

static void on_node(void *cookie, const struct http_reply *reply, bool sent, const struct err *err)
{
	struct watch *watch = cookie;
	struct err ignored;
	json_t *node = reply && reply->status == 200 ? verdict_json(reply, &ignored) : NULL;
	const char *cause;

	(void)sent;
	(void)err;
	watch->call = NULL;
	watch->act = WATCH_LEAVE;
	if (node) {
		/* Jenkins says it in the first, Hudson in the second. */
		cause = arena_printf(watch->arena, "%s\n%s", jsonget_string_or(node, "offlineCauseReason", ""),
			jsonget_string_or(json_object_get(node, "offlineCause"), "description", ""));
		watch->act = watch_decide(&watch->word, jsonget_boolean_or(node, "temporarilyOffline", false), cause);
	}
	json_decref(node);
	if (watch->act != WATCH_LEAVE) {
		tell(watch);
		return;
	}
	finish(watch);
	next(watch);
}

static void on_log(void *cookie, const struct http_reply *reply, bool sent, const struct err *err)
{
	struct watch *watch = cookie;
	const char *slave = watch->pairs[watch->at].slave;

	(void)sent;
	(void)err;
	watch->call = NULL;
	if (!reply || reply->status != 200 || !watch_read(watch->arena, reply->body, reply->length, slave, &watch->word)) {
		finish(watch);
		next(watch);
		return;
	}
	watch->call = master_ask(watch->one->master,
		&(struct master_request){
			.path = node_path(watch, "api/json?tree=temporarilyOffline,offlineCauseReason,offlineCause%5Bdescription%5D")},
		on_node, watch);
}

/* Asks about the next one; after the last, waits for the next round. */
static void next(struct watch *watch)
{
	for (; watch->at < watch->count; watch->at++) {
		const struct pair *pair = &watch->pairs[watch->at];
		const struct site *site;
		struct err ignored;

		watch->one = masters_take(watch->brain->masters, pair->master, &ignored);
		if (!watch->one)
			continue;
		site = master_site(watch->one->master);
		watch->call = master_ask(watch->one->master,
			&(struct master_request){.path = arena_printf(watch->arena, "%s/lastCompletedBuild/consoleText",
							 site_job_path(site, watch->arena, arena_printf(watch->arena, "%shealth-%s", site->prefix, pair->slave))),
				.maximum = LOG_MAXIMUM},
			on_log, watch);
		return;
	}
	int64_t every_ms = EVERY_MS;
	struct err err = {.kind = ERR_NONE};

	if (conf_integer(watch->brain->conf, NULL, "master.health", &every_ms, &err) < 0)
		log_error(LOG_WHAT("option master.health"), LOG_ERR(&err));
	watch->timer = loop_after(watch->brain->loop, every_ms, on_time, watch);
}

/* Which masters the projects' jobs run on, each once. */
static void add_master(struct watch *watch, const char *master, const char *const *slaves)
{
	for (size_t i = 0; i < watch->count; i++)
		if (strcmp(watch->pairs[i].master, master) == 0)
			return;
	for (; *slaves; slaves++)
		watch->pairs[watch->count++] = (struct pair){master, arena_strdup(watch->arena, *slaves)};
}

static size_t length_of(const char *const *names)
{
	size_t count = 0;

	while (names[count])
		count++;
	return count;
}

static void on_time(void *cookie)
{
	struct watch *watch = cookie;
	const struct conf *conf = watch->brain->conf;
	const char *const *projects, *const *slaves;
	struct err ignored;

	watch->timer = NULL;
	arena_reset(watch->arena);
	watch->count = watch->at = 0;
	projects = conf_sections(conf, watch->arena, "project");
	slaves = site_slaves(conf, watch->arena, &ignored);
	if (slaves) {
		watch->pairs = arena_alloc(watch->arena, (length_of(projects) * length_of(slaves) + 1) * sizeof *watch->pairs);
		for (; *projects; projects++) {
			const char *master = site_of_project(conf, watch->arena, *projects);

			if (master)
				add_master(watch, arena_strdup(watch->arena, master), slaves);
		}
	}
	next(watch);
}

struct watch *watch_new(struct brain *brain)
{
	struct watch *watch = calloc(1, sizeof *watch);

	if (!watch)
		err_fatal("out of memory");
	watch->brain = brain;
	watch->arena = arena_new();
	watch->timer = loop_after(brain->loop, 0, on_time, watch);
	return watch;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	loop_cancel(watch->timer);
	master_cancel(watch->call);
	if (watch->one)
		masters_give(watch->one);
	arena_free(watch->arena);
	free(watch);
}
