#include "master/lookup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/jsonget.h"
#include "master/verdict.h"

#define LIST_MAXIMUM ((size_t)32 * 1024 * 1024)
/* After a round the next waits ten times as long as that one took: what is a burden to a master is asked for less often. */
enum { SEEN = 256, NONCE_SIZE = 128, AT_ONCE = 32, FEW = 8, REST_TIMES = 10, REST_MAXIMUM_MS = 2000 };
#define NEWEST "200" /* builds of a job on Jenkins */

enum stage { STAGE_PENDING, STAGE_QUEUE, STAGE_ITEM, STAGE_SCAN };

struct lookup_ask {
	TAILQ_ENTRY(lookup_ask) link;
	struct lookup *lookup;
	enum stage stage;
	char *path, *nonce;
	int64_t id;
	bool direct; /* asked for by its id, before the queue was */
	struct scan *scan;
	struct master_call *http; /* for its item */
	lookup_fn *call;
	void *cookie;
};

/* What we know of the builds of a job. The rest is for Hudson: whose nonce is which number, up to `last`. */
struct scan {
	LIST_ENTRY(scan) link;
	struct lookup *lookup;
	char *path;
	struct master_call *http;
	bool known;      /* all builds up to `last` were looked at */
	int64_t last, until;
	struct {
		char nonce[NONCE_SIZE];
		int64_t number;
	} seen[SEEN];
	unsigned next;
};

struct lookup {
	struct master *master;
	TAILQ_HEAD(, lookup_ask) asks;
	LIST_HEAD(, scan) scans;
	struct master_call *http; /* for the queue */
	struct loop *loop;
	struct loop_source *rest; /* between two rounds */
	int64_t began;            /* the round; 0: there is none; clock_boot_ms() */
	int64_t not_before;
};

struct lookup *lookup_new(struct master *master, struct loop *loop)
{
	struct lookup *lookup = calloc(1, sizeof *lookup);

	if (!lookup)
		err_fatal("out of memory");
	lookup->master = master;
	lookup->loop = loop;
	TAILQ_INIT(&lookup->asks);
	LIST_INIT(&lookup->scans);
	return lookup;
}

void lookup_cancel(struct lookup_ask *ask)
{
	if (!ask)
		return;
	TAILQ_REMOVE(&ask->lookup->asks, ask, link);
	master_cancel(ask->http);
	free(ask->path);
	free(ask->nonce);
	free(ask);
}

void lookup_free(struct lookup *lookup)
{
	if (!lookup)
		return;
	while (!TAILQ_EMPTY(&lookup->asks))
		lookup_cancel(TAILQ_FIRST(&lookup->asks));
	while (!LIST_EMPTY(&lookup->scans)) {
		struct scan *scan = LIST_FIRST(&lookup->scans);

		LIST_REMOVE(scan, link);
		master_cancel(scan->http);
		free(scan->path);
		free(scan);
	}
	master_cancel(lookup->http);
	loop_cancel(lookup->rest);
	free(lookup);
}

/* --- answers */

static struct lookup_ask *first(const struct lookup *lookup, enum stage stage, const struct scan *scan)
{
	struct lookup_ask *ask;

	TAILQ_FOREACH(ask, &lookup->asks, link)
		if (ask->stage == stage && (!scan || ask->scan == scan))
			return ask;
	return NULL;
}

static void answer(struct lookup_ask *ask, const struct sighting_found *found, const struct err *err)
{
	lookup_fn *call = ask->call;
	void *cookie = ask->cookie;

	lookup_cancel(ask);
	call(cookie, found, err);
}

static bool is_busy(const struct lookup *lookup)
{
	const struct lookup_ask *ask;
	const struct scan *scan;

	TAILQ_FOREACH(ask, &lookup->asks, link)
		if (ask->stage != STAGE_PENDING)
			return true;
	LIST_FOREACH(scan, &lookup->scans, link)
		if (scan->http)
			return true;
	return lookup->http != NULL;
}

static void on_queue(void *cookie, const struct http_reply *reply, bool sent, const struct err *err);

static void on_item(void *cookie, const struct http_reply *reply, bool sent, const struct err *err);

static void ask_item(struct lookup_ask *ask)
{
	struct arena *arena = arena_new();

	ask->http = master_ask(ask->lookup->master,
		&(struct master_request){.path = arena_printf(arena, "queue/item/%lld/api/json?tree=%s", (long long)ask->id,
			site_escape(arena, SIGHTING_ITEM))}, on_item, ask);
	arena_free(arena);
}

static void begin(struct lookup *lookup);

static void on_rested(void *cookie)
{
	struct lookup *lookup = cookie;

	lookup->rest = NULL;
	begin(lookup);
}

/* True: the next round has to wait. */
static bool is_resting(struct lookup *lookup)
{
	int64_t now = clock_boot_ms(), rest = (now - lookup->began) * REST_TIMES;

	if (lookup->began)
		lookup->not_before = now + (rest < REST_MAXIMUM_MS ? rest : REST_MAXIMUM_MS);
	lookup->began = 0;
	if (now < lookup->not_before && !lookup->rest)
		lookup->rest = loop_after(lookup->loop, lookup->not_before - now, on_rested, lookup);
	return lookup->rest != NULL;
}

/* Whose id is known is asked for by it, while these are few. True: others need the queue. */
static bool ask_each(struct lookup *lookup)
{
	struct lookup_ask *ask;
	unsigned count = 0;
	bool others = false;

	TAILQ_FOREACH(ask, &lookup->asks, link) {
		ask->direct = ask->id > 0 && master_dialect(lookup->master) != MASTER_HUDSON && ++count <= FEW;
		ask->stage = ask->direct ? STAGE_ITEM : STAGE_QUEUE;
		if (ask->direct)
			ask_item(ask);
		others |= !ask->direct;
	}
	return others;
}

/* The next round, of all who ask now, when the one before is over. */
static void begin(struct lookup *lookup)
{
	struct arena *arena;

	if (is_busy(lookup) || is_resting(lookup) || TAILQ_EMPTY(&lookup->asks))
		return;
	lookup->began = clock_boot_ms();
	if (!ask_each(lookup))
		return;
	arena = arena_new();
	lookup->http = master_ask(lookup->master,
		&(struct master_request){.path = arena_printf(arena, "queue/api/json?tree=%s", site_escape(arena, "items[" SIGHTING_ITEM "]")),
			.maximum = LIST_MAXIMUM}, on_queue, lookup);
	arena_free(arena);
}

/* The object that a reply has; NULL with *why. */
static json_t *object_of(
	const struct lookup *lookup, const struct http_reply *reply, const char *what, const struct err *err, struct err *why)
{
	json_t *json = NULL;

	*why = (struct err){.kind = ERR_NONE};
	if (!reply)
		*why = *err;
	else if (reply->status != 200)
		verdict_refusal(master_site(lookup->master)->url, reply, what, why);
	else
		json = verdict_json(reply, why);
	if (!json || json_is_object(json))
		return json;
	json_decref(json);
	err_set(why, ERR_INPUT, "%s%.200s: not an object", master_site(lookup->master)->url, what);
	return NULL;
}

/* --- the builds of a job */

static struct scan *scan_of(struct lookup *lookup, const char *path)
{
	struct scan *scan;

	LIST_FOREACH(scan, &lookup->scans, link)
		if (strcmp(scan->path, path) == 0)
			return scan;
	scan = calloc(1, sizeof *scan);
	if (!scan || !(scan->path = strdup(path)))
		err_fatal("out of memory");
	scan->lookup = lookup;
	LIST_INSERT_HEAD(&lookup->scans, scan, link);
	return scan;
}

static void ask_scan(struct scan *scan, const char *below, const char *tree, master_fn *call)
{
	struct arena *arena = arena_new();

	scan->http = master_ask(scan->lookup->master,
		&(struct master_request){.path = arena_printf(arena, "%s%s/api/json?tree=%s", scan->path, below, site_escape(arena, tree)),
			.maximum = LIST_MAXIMUM}, call, scan);
	arena_free(arena);
}

static int64_t number_of(const struct scan *scan, const char *nonce)
{
	for (size_t i = 0; i < SEEN; i++)
		if (strcmp(scan->seen[i].nonce, nonce) == 0)
			return scan->seen[i].number;
	return 0;
}

static void end_scan(struct scan *scan, const struct err *err)
{
	static const struct err no_number = {.kind = ERR_INPUT, .text = "the master has it among its builds without a number"};
	struct lookup *lookup = scan->lookup;
	struct lookup_ask *ask;

	while ((ask = first(lookup, STAGE_SCAN, scan))) {
		struct sighting_found found = {.where = SIGHTING_NOWHERE};

		found.number = err ? 0 : number_of(scan, ask->nonce);
		if (found.number)
			found.where = SIGHTING_STARTED;
		if (err || found.number < 0)
			answer(ask, NULL, err ? err : &no_number);
		else
			answer(ask, &found, NULL);
	}
	begin(lookup);
}

/* A number that is none is -1: there it is, but nobody knows where. -1: it does not say whose it is. */
static int note(struct scan *scan, const json_t *build, struct err *err)
{
	int64_t number = jsonget_integer_or(build, "number", -1);
	const char *nonce;

	if (sighting_nonce(build, &nonce, err) < 0)
		return err_wrap(err, "a build of %.200s", scan->path);
	if (number > scan->last)
		scan->last = number;
	if (!*nonce || strlen(nonce) >= NONCE_SIZE)
		return 0;
	memset(scan->seen[scan->next].nonce, 0, NONCE_SIZE);
	memcpy(scan->seen[scan->next].nonce, nonce, strlen(nonce));
	scan->seen[scan->next].number = number > 0 ? number : -1;
	scan->next = (scan->next + 1) % SEEN;
	return 0;
}

/* All builds, or Jenkins' newest, in place of what we knew. */
static void take_builds(struct scan *scan, const json_t *builds)
{
	struct err err = {.kind = ERR_NONE};

	memset(scan->seen, 0, sizeof scan->seen);
	scan->known = true;
	for (size_t i = json_array_size(builds); i-- > 0 && scan->known;)
		scan->known = note(scan, json_array_get(builds, i), &err) == 0;
	end_scan(scan, scan->known ? NULL : &err);
}

static void on_builds(void *cookie, const struct http_reply *reply, bool sent, const struct err *err)
{
	struct scan *scan = cookie;
	struct err why;
	json_t *json = object_of(scan->lookup, reply, scan->path, err, &why), *builds = json_object_get(json, "allBuilds");

	(void)sent;
	scan->http = NULL;
	scan->last = 0;
	if (!builds)
		builds = json_object_get(json, "builds");
	if (json && json_is_array(builds))
		take_builds(scan, builds);
	else if (json)
		end_scan(scan, &(struct err){.kind = ERR_INPUT, .text = "the master's list of builds is none"});
	else
		end_scan(scan, &why);
	json_decref(json);
}

static void ask_list(struct scan *scan)
{
	ask_scan(scan, "", "builds[number," SIGHTING_ACTIONS "]", on_builds);
}

static void ask_next(struct scan *scan);

static void on_build(void *cookie, const struct http_reply *reply, bool sent, const struct err *err)
{
	struct scan *scan = cookie;
	int64_t number = scan->last + 1;
	struct err why;
	json_t *json = NULL;

	(void)sent;
	scan->http = NULL;
	if (reply && reply->status == 404) { /* removed meanwhile, or not to be seen at this moment: the list knows */
		ask_list(scan);
		return;
	}
	json = object_of(scan->lookup, reply, scan->path, err, &why);
	if (!json || note(scan, json, &why) < 0)
		end_scan(scan, &why);
	else if (scan->last != number) /* that of another */
		ask_list(scan);
	else
		ask_next(scan);
	json_decref(json);
}

static void ask_next(struct scan *scan)
{
	struct arena *arena;

	if (scan->last >= scan->until) {
		end_scan(scan, NULL);
		return;
	}
	arena = arena_new();
	ask_scan(scan, arena_printf(arena, "/%lld", (long long)scan->last + 1), "number," SIGHTING_ACTIONS, on_build);
	arena_free(arena);
}

static void on_last(void *cookie, const struct http_reply *reply, bool sent, const struct err *err)
{
	struct scan *scan = cookie;
	struct err why;
	json_t *json = object_of(scan->lookup, reply, scan->path, err, &why);
	const json_t *last = json_object_get(json, "lastBuild");

	(void)sent;
	scan->http = NULL;
	if (!json) {
		end_scan(scan, &why);
		return;
	}
	scan->until = json_is_null(last) ? 0 : jsonget_integer_or(last, "number", -1);
	json_decref(json);
	if (!scan->known || scan->until < scan->last || scan->until - scan->last > AT_ONCE)
		ask_list(scan);
	else
		ask_next(scan);
}

static void scan_for(struct lookup_ask *ask)
{
	struct scan *scan = scan_of(ask->lookup, ask->path);

	ask->stage = STAGE_SCAN;
	ask->scan = scan;
	if (scan->http)
		return;
	if (master_dialect(ask->lookup->master) == MASTER_JENKINS)
		ask_scan(scan, "", "allBuilds[number," SIGHTING_ACTIONS "]{0," NEWEST "}", on_builds);
	else
		ask_scan(scan, "", "lastBuild[number]", on_last);
}

/* --- one item by its id */

/* It has another id, or is forgotten: the next round looks everywhere. */
static void ask_queue(struct lookup_ask *ask)
{
	ask->id = 0;
	ask->stage = STAGE_PENDING;
}

static void on_item(void *cookie, const struct http_reply *reply, bool sent, const struct err *err)
{
	struct lookup_ask *ask = cookie;
	struct lookup *lookup = ask->lookup;
	struct sighting_found found = {.where = SIGHTING_NOWHERE};
	struct err why = {.kind = ERR_NONE};
	json_t *json = NULL;

	(void)sent;
	ask->http = NULL;
	if (!reply || reply->status != 404)
		json = object_of(lookup, reply, "queue/item", err, &why);
	if (json)
		sighting_item(json, ask->nonce, &found, &why);
	if (why.kind != ERR_NONE)
		answer(ask, NULL, &why);
	else if (found.where == SIGHTING_NOWHERE && ask->direct)
		ask_queue(ask);
	else if (found.where == SIGHTING_NOWHERE)
		scan_for(ask);
	else
		answer(ask, &found, NULL);
	json_decref(json);
	begin(lookup);
}

static void look_further(struct lookup_ask *ask)
{
	const struct lookup *lookup = ask->lookup;

	if (ask->id <= 0 || master_dialect(lookup->master) != MASTER_JENKINS) {
		scan_for(ask);
		return;
	}
	ask->stage = STAGE_ITEM;
	ask_item(ask);
}

/* --- the queue */

static void on_queue(void *cookie, const struct http_reply *reply, bool sent, const struct err *err)
{
	struct lookup *lookup = cookie;
	struct lookup_ask *ask;
	struct err why;
	json_t *json = object_of(lookup, reply, "queue", err, &why);

	(void)sent;
	lookup->http = NULL;
	while ((ask = first(lookup, STAGE_QUEUE, NULL))) {
		struct sighting_found found;

		if (!json || sighting_queue(json, ask->nonce, &found, &why) < 0)
			answer(ask, NULL, &why);
		else if (found.where == SIGHTING_QUEUED)
			answer(ask, &found, NULL);
		else
			look_further(ask);
	}
	json_decref(json);
	begin(lookup);
}

struct lookup_ask *lookup_ask(struct lookup *lookup, const char *path, const char *nonce, int64_t id, lookup_fn *call, void *cookie)
{
	struct lookup_ask *ask = calloc(1, sizeof *ask);

	if (!ask || !(ask->path = strdup(path)) || !(ask->nonce = strdup(nonce)))
		err_fatal("out of memory");
	ask->lookup = lookup;
	ask->id = id;
	ask->call = call;
	ask->cookie = cookie;
	TAILQ_INSERT_TAIL(&lookup->asks, ask, link);
	begin(lookup);
	return ask;
}
