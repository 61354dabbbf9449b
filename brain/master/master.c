#include "master/master.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "master/verdict.h"

#define REPLY_MAXIMUM ((size_t)4 * 1024 * 1024)
enum { HEADERS = 6, WORD_MAXIMUM = 512, COOKIE_MAXIMUM = 4096, TROUBLE_MS = 250, TROUBLE_DOUBLINGS = 7,
	TROUBLE_MAXIMUM_MS = 30000, RETRY_MAXIMUM_S = 300 };

struct master {
	struct site site;
	struct arena *arena; /* of the site */
	struct loop *loop;   /* NULL: blocking */
	struct http *http;
	TAILQ_HEAD(, master_call) calls; /* those that wait, in their order, and those under way */
	unsigned running;
	unsigned troubles;   /* answers that did not come, one after the other */
	int64_t not_before;  /* nothing is asked before; clock_boot_ms() */
	struct loop_source *timer;
	struct arena *session; /* what the next three are in */
	const char *authorization, *crumb, *cookie; /* header lines; NULL: none */
	bool read; /* the secret was */
	unsigned generation; /* of these words */
	enum master_dialect dialect;
	char version[64];
};

/* What is being asked for a call: the request itself, or a crumb for it; once more after that. */
enum stage { STAGE_WAITS, STAGE_FIRST, STAGE_CRUMB, STAGE_AGAIN };

struct master_call {
	TAILQ_ENTRY(master_call) link;
	struct master *master;
	struct arena *arena;
	struct master_request request;
	enum stage stage;
	unsigned generation; /* of the words that it was asked with */
	struct http_call *http;
	master_fn *call;
	void *cookie;
};

/* --- who we are */

static bool is_printable(const char *text, size_t maximum)
{
	for (const char *at = text; *at; at++)
		if (*at < ' ' || *at > '~')
			return false;
	return *text && strlen(text) <= maximum;
}

/* New words in place of the old: nothing of these is left. Each NULL: none. */
static void remember(struct master *master, const char *authorization, const char *crumb, const char *cookie)
{
	struct arena *arena = arena_new();

	master->authorization = arena_strdup(arena, authorization);
	master->crumb = arena_strdup(arena, crumb);
	master->cookie = arena_strdup(arena, cookie);
	arena_free(master->session);
	master->session = arena;
	master->generation++;
}

/* Header lines of what we know: the secret's file is read again when it may have changed. True: it has. */
static int read_secret(struct master *master, bool *changed, struct err *err)
{
	const struct site *site = &master->site;
	struct arena *arena;
	const char *secret, *pair, *line;

	*changed = false;
	master->read = true;
	if (!site->user)
		return 0;
	arena = arena_new();
	secret = file_read_secret(arena, site->secret, NULL, err);
	if (!secret) {
		arena_free(arena);
		master->read = false;
		return -1;
	}
	pair = arena_printf(arena, "%s:%s", site->user, secret);
	line = arena_printf(arena, "Authorization: Basic %s", crypto_base64(arena, pair, strlen(pair)));
	*changed = master->authorization && strcmp(master->authorization, line) != 0;
	if (*changed || !master->authorization)
		remember(master, line, NULL, NULL);
	arena_free(arena);
	return 0;
}

/* "Cookie: …" with all that a reply sets; NULL: nothing. */
static const char *cookie_of(struct arena *arena, const struct http_reply *reply)
{
	static const char name[] = "Set-Cookie:";
	const char *all = "";

	for (const char *line = reply->headers; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *value = line + strlen(name);

		if (strncasecmp(line, name, strlen(name)) != 0)
			continue;
		value += strspn(value, " \t");
		all = arena_printf(arena, "%s%s%.*s", all, *all ? "; " : "", (int)strcspn(value, ";\n"), value);
	}
	return is_printable(all, COOKIE_MAXIMUM) ? arena_printf(arena, "Cookie: %s", all) : NULL;
}

/*
 * A session that a reply begins is ours when there was none, or when the one that we asked in was over. Jenkins' crumbs end with their
 * session.
 */
static void take_session(struct master *master, const struct http_reply *reply, unsigned generation)
{
	struct arena *arena = arena_new();
	const char *cookie = generation == master->generation ? cookie_of(arena, reply) : NULL;

	if (cookie && strstr(cookie, "SESSION"))
		remember(master, master->authorization, master->dialect == MASTER_HUDSON ? master->crumb : NULL, cookie);
	arena_free(arena);
}

/* False: the master wants none, or gave none that is one. */
static bool take_crumb(struct master *master, const struct http_reply *reply)
{
	struct arena *arena = arena_new();
	struct err ignored;
	json_t *json = reply->status == 200 ? verdict_json(reply, &ignored) : NULL;
	const char *crumb = jsonget_string_or(json, "crumb", ""), *field = jsonget_string_or(json, "crumbRequestField", "");
	bool good = is_printable(crumb, WORD_MAXIMUM) && is_printable(field, WORD_MAXIMUM) && !strpbrk(field, ": ");

	if (good) {
		const char *cookie = cookie_of(arena, reply);

		remember(master, master->authorization, arena_printf(arena, "%s: %s", field, crumb), cookie ? cookie : master->cookie);
	} else if (reply->status == 404) {
		remember(master, master->authorization, NULL, master->cookie);
	}
	json_decref(json);
	arena_free(arena);
	return good;
}

static bool is_json(struct arena *arena, const struct http_reply *reply)
{
	const char *type = http_header(reply, arena, "Content-Type");

	return type && (strncmp(type, "application/json", 16) == 0 || strncmp(type, "application/javascript", 22) == 0);
}

/* What every reply tells about who answers. */
static void learn(struct master *master, const struct http_reply *reply)
{
	static const struct {
		const char *header;
		enum master_dialect dialect;
	} rows[] = {{"X-Jenkins", MASTER_JENKINS}, {"X-Hudson", MASTER_HUDSON}};
	struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *version = http_header(reply, arena, rows[i].header);

		if (!version)
			continue;
		master->dialect = rows[i].dialect;
		memset(master->version, 0, sizeof master->version);
		if (is_printable(version, sizeof master->version - 1))
			memcpy(master->version, version, strlen(version));
		break;
	}
	/* All JSON of Jenkins has it; much else has not. */
	if (master->dialect == MASTER_UNKNOWN && reply->status == 200 && is_json(arena, reply))
		master->dialect = MASTER_HUDSON;
	arena_free(arena);
}

/* --- one request */

static void fill(const struct master *master, struct arena *arena, const struct master_request *request, struct http_request *http)
{
	const char **headers = arena_alloc(arena, HEADERS * sizeof *headers), **next = headers;
	const char *body = request->form ? request->form : request->xml;

	if (master->authorization)
		*next++ = master->authorization;
	if (master->cookie)
		*next++ = master->cookie;
	if (body && master->crumb)
		*next++ = master->crumb;
	if (request->form)
		*next++ = "Content-Type: application/x-www-form-urlencoded";
	if (request->xml)
		*next++ = "Content-Type: application/xml; charset=utf-8";
	*http = (struct http_request){
		.url = arena_printf(arena, "%s%s", master->site.url, request->path),
		.headers = headers,
		.body = body,
		.length = body ? strlen(body) : 0,
		.limit_ms = request->limit_ms ? request->limit_ms : master->site.limit_ms,
		.maximum = request->maximum ? request->maximum : REPLY_MAXIMUM,
		.ca = master->site.ca,
		.to = request->to,
		.to_maximum = request->to_maximum,
		.fresh = body != NULL,
	};
}

static const struct master_request crumb_request = {.path = "crumbIssuer/api/json", .maximum = 65536};

/* Whether a reply may be one to a stale secret, or to a missing or stale crumb. */
static bool is_stranger(const struct http_reply *reply)
{
	return reply->status == 401 || reply->status == 403;
}

static bool is_post(const struct master_request *request)
{
	return request->form || request->xml;
}

struct master *master_new(const struct site *site, struct loop *loop, struct err *err)
{
	struct master *master = calloc(1, sizeof *master);

	if (!master)
		err_fatal("out of memory");
	TAILQ_INIT(&master->calls);
	master->arena = arena_new();
	master->session = arena_new();
	master->loop = loop;
	master->site = *site;
	master->site.name = arena_strdup(master->arena, site->name);
	master->site.url = arena_strdup(master->arena, site->url);
	master->site.user = arena_strdup(master->arena, site->user);
	master->site.secret = arena_strdup(master->arena, site->secret);
	master->site.ca = arena_strdup(master->arena, site->ca);
	master->site.folder = arena_strdup(master->arena, site->folder);
	master->site.prefix = arena_strdup(master->arena, site->prefix);
	master->http = loop ? http_new(loop, err) : NULL;
	if (!loop || master->http)
		return master;
	master_free(master);
	return NULL;
}

void master_free(struct master *master)
{
	if (!master)
		return;
	while (!TAILQ_EMPTY(&master->calls))
		master_cancel(TAILQ_FIRST(&master->calls));
	http_free(master->http);
	loop_cancel(master->timer);
	arena_free(master->session);
	arena_free(master->arena);
	free(master);
}

const struct site *master_site(const struct master *master)
{
	return &master->site;
}

enum master_dialect master_dialect(const struct master *master)
{
	return master->dialect;
}

const char *master_version(const struct master *master)
{
	return master->version;
}

/* --- on the loop */

static void pump(struct master *master);

static void on_timer(void *cookie)
{
	struct master *master = cookie;

	master->timer = NULL;
	pump(master);
}

static void wake(struct master *master, int64_t delay_ms)
{
	loop_cancel(master->timer);
	master->timer = loop_after(master->loop, delay_ms, on_timer, master);
}

static void finish(struct master_call *call, const struct http_reply *reply, bool sent, const struct err *err)
{
	struct master *master = call->master;

	TAILQ_REMOVE(&master->calls, call, link);
	if (call->stage != STAGE_WAITS)
		master->running--;
	call->http = NULL;
	call->call(call->cookie, reply, sent, err);
	arena_free(call->arena);
	free(call);
	wake(master, 0);
}

/* A master that is not there, or says that it can't, is left alone for longer each time. */
static void count(struct master *master, const struct http_reply *reply)
{
	bool trouble = !reply || reply->status == 429 || (reply->status >= 502 && reply->status <= 504);
	struct arena *arena = arena_new();
	const char *after = reply && trouble ? http_header(reply, arena, "Retry-After") : NULL;
	int64_t delay = (int64_t)TROUBLE_MS << (master->troubles < TROUBLE_DOUBLINGS ? master->troubles : TROUBLE_DOUBLINGS);
	long seconds = after ? strtol(after, NULL, 10) : 0;

	arena_free(arena);
	if (!trouble) {
		master->troubles = 0;
		master->not_before = 0;
		return;
	}
	if (clock_boot_ms() < master->not_before) /* those that were under way with it */
		return;
	master->troubles++;
	if (delay > TROUBLE_MAXIMUM_MS)
		delay = TROUBLE_MAXIMUM_MS;
	if (seconds > 0)
		delay = (seconds < RETRY_MAXIMUM_S ? seconds : RETRY_MAXIMUM_S) * INT64_C(1000);
	master->not_before = clock_boot_ms() + delay;
}

static void on_reply(void *cookie, const struct http_reply *reply, const struct err *err);

/* -1: it can't be, for a reason of ours. */
static int start(struct master_call *call, const struct master_request *request, struct err *err)
{
	struct http_request http;

	fill(call->master, call->arena, request, &http);
	call->generation = call->master->generation;
	call->http = http_request(call->master->http, &http, on_reply, call, err);
	return call->http ? 0 : -1;
}

static int step(struct master_call *call, enum stage stage, struct err *err)
{
	call->stage = stage;
	return start(call, stage == STAGE_CRUMB ? &crumb_request : &call->request, err);
}

/* What follows a refusal: a crumb, and with it, or with another secret, the same once more. False: nothing does. */
static bool is_followed(struct master_call *call, const struct http_reply *reply, bool *sent)
{
	struct master *master = call->master;
	struct err ignored = {.kind = ERR_NONE};
	bool changed = false;

	if (call->stage == STAGE_CRUMB) {
		take_crumb(master, reply);
		*sent = false;
		return step(call, STAGE_AGAIN, &ignored) == 0;
	}
	if (call->stage != STAGE_FIRST || !is_stranger(reply))
		return false;
	if (read_secret(master, &changed, &ignored) < 0)
		return false;
	if (is_post(&call->request) && reply->status == 403)
		return step(call, STAGE_CRUMB, &ignored) == 0;
	return changed && step(call, STAGE_AGAIN, &ignored) == 0;
}

static void on_reply(void *cookie, const struct http_reply *reply, const struct err *err)
{
	struct master_call *call = cookie;
	struct master *master = call->master;
	bool sent = reply || err->number != ECONNREFUSED;

	call->http = NULL;
	if (!reply && call->stage == STAGE_CRUMB)
		sent = false;
	count(master, reply);
	if (reply) {
		bool crumb = call->stage == STAGE_CRUMB;

		learn(master, reply);
		if (!crumb)
			take_session(master, reply, call->generation);
		if (is_followed(call, reply, &sent))
			return;
		if (crumb)
			reply = NULL;
	}
	finish(call, reply, sent, err);
}

static struct master_call *first_waiting(struct master *master)
{
	struct master_call *call;

	TAILQ_FOREACH(call, &master->calls, link)
		if (call->stage == STAGE_WAITS)
			return call;
	return NULL;
}

static void begin(struct master_call *call)
{
	struct master *master = call->master;
	struct err err = {.kind = ERR_NONE};
	bool changed;

	master->running++;
	call->stage = STAGE_FIRST;
	if ((!master->read && read_secret(master, &changed, &err) < 0) || start(call, &call->request, &err) < 0)
		finish(call, NULL, false, &err);
}

static void pump(struct master *master)
{
	int64_t now = clock_boot_ms();
	struct master_call *call;

	while (master->running < master->site.at_once && (call = first_waiting(master))) {
		if (now < master->not_before) {
			wake(master, master->not_before - now);
			return;
		}
		begin(call);
	}
}

/* What starts or ends something goes before what only looks. */
static void insert(struct master *master, struct master_call *call)
{
	struct master_call *other;

	if (is_post(&call->request))
		TAILQ_FOREACH(other, &master->calls, link)
			if (other->stage == STAGE_WAITS && !is_post(&other->request)) {
				TAILQ_INSERT_BEFORE(other, call, link);
				return;
			}
	TAILQ_INSERT_TAIL(&master->calls, call, link);
}

struct master_call *master_ask(struct master *master, const struct master_request *request, master_fn *call, void *cookie)
{
	struct master_call *made = calloc(1, sizeof *made);

	if (!made)
		err_fatal("out of memory");
	made->master = master;
	made->arena = arena_new();
	made->request = *request;
	made->request.path = arena_strdup(made->arena, request->path);
	made->request.form = arena_strdup(made->arena, request->form);
	made->request.xml = arena_strdup(made->arena, request->xml);
	made->call = call;
	made->cookie = cookie;
	insert(master, made);
	wake(master, 0);
	return made;
}

void master_cancel(struct master_call *call)
{
	if (!call)
		return;
	TAILQ_REMOVE(&call->master->calls, call, link);
	if (call->stage != STAGE_WAITS)
		call->master->running--;
	http_cancel(call->http);
	arena_free(call->arena);
	if (call->master->loop)
		wake(call->master, 0);
	free(call);
}

unsigned master_busy(const struct master *master)
{
	const struct master_call *call;
	unsigned busy = 0;

	TAILQ_FOREACH(call, &master->calls, link) busy++;
	return busy;
}

/* --- blocking */

/* In command-line tools, which ask a few times, a session is kept that a crumb came with, and no other. */
static int ask(
	struct master *master, const struct master_request *request, struct arena *arena, struct http_reply *reply, struct err *err)
{
	struct http_request http;

	fill(master, arena, request, &http);
	if (http_once(&http, arena, reply, err) < 0)
		return -1;
	learn(master, reply);
	return 0;
}

int master_once(
	struct master *master, const struct master_request *request, struct arena *arena, struct http_reply *reply, struct err *err)
{
	struct http_reply crumb;
	bool changed;

	if (!master->read && read_secret(master, &changed, err) < 0)
		return -1;
	if (ask(master, request, arena, reply, err) < 0)
		return -1;
	if (!is_post(request) || reply->status != 403)
		return 0;
	if (ask(master, &crumb_request, arena, &crumb, err) < 0)
		return -1;
	return take_crumb(master, &crumb) ? ask(master, request, arena, reply, err) : 0;
}

json_t *master_get_json(struct master *master, const char *path, struct err *err)
{
	const struct master_request request = {.path = path};
	struct arena *arena = arena_new();
	struct http_reply reply;
	json_t *json = NULL;

	if (master_once(master, &request, arena, &reply, err) < 0)
		goto err1;
	if (reply.status == 200)
		json = verdict_json(&reply, err);
	else
		verdict_refusal(master->site.url, &reply, path, err);
err1:
	arena_free(arena);
	return json;
}

static int post(struct master *master, const struct master_request *request, struct err *err)
{
	struct arena *arena = arena_new();
	struct http_reply reply;
	int done = master_once(master, request, arena, &reply, err);

	if (done == 0 && (reply.status < 200 || reply.status > 303))
		done = verdict_refusal(master->site.url, &reply, request->path, err);
	if (done == 0)
		done = verdict_login(master->site.url, &reply, err);
	arena_free(arena);
	return done;
}

int master_post_form(struct master *master, const char *path, const char *form, struct err *err)
{
	return post(master, &(struct master_request){.path = path, .form = form}, err);
}

int master_post_xml(struct master *master, const char *path, const char *xml, struct err *err)
{
	return post(master, &(struct master_request){.path = path, .xml = xml}, err);
}
