#include "slaves/lxd/lxd.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/jsonget.h"
#include "loop/http.h"

#define LIMIT_MS 60000 /* of a request, unless lxd_limit() says another */
#define EXPORT_LIMIT_MS (30 * 60 * 1000)
#define MARGIN_MS 5000 /* what an answer may take beside what is waited for */
#define REPLY_MAXIMUM ((size_t)16 * 1024 * 1024)

struct lxd {
	struct arena *arena;
	const char *socket, *project, *path;
	int folder;
	int64_t limit_ms;
};

struct request {
	const char *method, *path;
	const void *body;
	size_t length;
	const char *type; /* Content-Type */
	int64_t limit_ms;
	const int *to; /* where the body goes that is no JSON; NULL: there is none */
};

/*
 * The folder of the last socket that was opened by a handler, which may hide it from itself by a /run of its own (rootfs.h)
 * before it is needed again.
 */
static struct {
	int folder;
	char socket[256];
} held = {.folder = -1};

static void hold(const struct lxd *lxd)
{
	if (strlen(lxd->socket) >= sizeof held.socket)
		return;
	if (held.folder >= 0)
		close(held.folder);
	held.folder = fcntl(lxd->folder, F_DUPFD_CLOEXEC, 0);
	memcpy(held.socket, lxd->socket, strlen(lxd->socket) + 1);
}

struct lxd *lxd_open_at(struct arena *arena, const char *socket, const char *project, struct err *err)
{
	struct lxd *lxd = arena_alloc(arena, sizeof *lxd);
	const char *folder = dirname(arena_strdup(arena, socket)), *name = basename(arena_strdup(arena, socket));

	*lxd = (struct lxd){.arena = arena, .socket = arena_strdup(arena, socket), .project = arena_strdup(arena, project),
		.limit_ms = LIMIT_MS};
	lxd->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (lxd->folder < 0 && errno == ENOENT && held.folder >= 0 && strcmp(held.socket, socket) == 0)
		lxd->folder = fcntl(held.folder, F_DUPFD_CLOEXEC, 0);
	if (lxd->folder < 0 && (errno == ENOENT || errno == ENOTDIR)) {
		err_set(err, ERR_NETWORK, "LXD: there is no %s (option lxd.socket); is LXD installed and running?", folder);
		return NULL;
	}
	if (lxd->folder < 0) {
		err_set_errno(err, errno, "LXD: %s", folder);
		return NULL;
	}
	lxd->path = arena_printf(arena, "/proc/self/fd/%d/%s", lxd->folder, name);
	hold(lxd);
	return lxd;
}

struct lxd *lxd_open(struct arena *arena, const struct conf *conf, struct err *err)
{
	const char *socket, *project;
	int64_t limit_ms;
	struct lxd *lxd;

	if (conf_text(conf, NULL, "lxd.socket", &socket, err) < 0 || conf_text(conf, NULL, "lxd.project", &project, err) < 0 ||
		conf_integer(conf, NULL, "lxd.limit", &limit_ms, err) < 0)
		return NULL;
	lxd = lxd_open_at(arena, socket, project, err);
	if (lxd)
		lxd->limit_ms = limit_ms;
	return lxd;
}

void lxd_close(struct lxd *lxd)
{
	if (lxd && lxd->folder >= 0)
		close(lxd->folder);
	if (lxd)
		lxd->folder = -1;
}

void lxd_limit(struct lxd *lxd, int64_t limit_ms)
{
	if (limit_ms < lxd->limit_ms)
		lxd->limit_ms = limit_ms;
}

const char *lxd_socket(const struct lxd *lxd)
{
	return lxd->socket;
}

const char *lxd_project(const struct lxd *lxd)
{
	return lxd->project;
}

const char *lxd_path(const struct lxd *lxd)
{
	return lxd->path;
}

static int judge(const struct lxd_reply *reply, struct err *err)
{
	if (reply->type != LXD_REPLY_ERROR)
		return 0;
	return err_set(err, reply->code == 404 ? ERR_NOT_FOUND : reply->code == 412 ? ERR_MOVED : ERR_SYSTEM, "%s",
		reply->error);
}

/* One request; what it is answered with is released on failure. */
static int ask(const struct lxd *lxd, const struct request *request, struct lxd_reply *reply, struct err *err)
{
	struct arena *arena = arena_new();
	const char *type = arena_printf(arena, "Content-Type: %s", request->type ? request->type : "application/json");
	const char *const headers[] = {type, NULL};
	const struct http_request http = {
		.method = request->method,
		.url = arena_printf(arena, "http://lxd%s%cproject=%s", request->path, strchr(request->path, '?') ? '&' : '?',
			lxd->project),
		.headers = headers,
		.body = request->body,
		.length = request->length,
		.limit_ms = request->limit_ms ? request->limit_ms : lxd->limit_ms,
		.maximum = REPLY_MAXIMUM,
		.unix_socket = lxd->path,
		.to = request->to,
	};
	struct http_reply answer;
	int rc = http_once(&http, arena, &answer, err);

	if (rc == 0 && request->to && answer.status == 200)
		*reply = (struct lxd_reply){0};
	else if (rc == 0 && lxd_reply_parse(answer.body, answer.length, reply, err) < 0)
		rc = err_wrap(err, "%s %s: the answer (HTTP %u) is not LXD's", request->method, request->path, answer.status);
	else if (rc == 0 && judge(reply, err) < 0) {
		lxd_reply_release(reply);
		rc = err_wrap(err, "%s %s", request->method, request->path);
	}
	arena_free(arena);
	return rc < 0 ? err_wrap(err, "LXD at %s", lxd->socket) : 0;
}

json_t *lxd_get(const struct lxd *lxd, const char *path, struct err *err)
{
	const struct request request = {.method = "GET", .path = path};
	struct lxd_reply reply;
	json_t *metadata;

	if (ask(lxd, &request, &reply, err) < 0)
		return NULL;
	metadata = json_incref(reply.metadata);
	lxd_reply_release(&reply);
	return metadata;
}

int lxd_await(const struct lxd *lxd, const char *id, int64_t limit_ms, struct lxd_reply *reply, struct lxd_operation *operation,
	struct err *err)
{
	struct arena *arena = arena_new();
	const struct request request = {
		.method = "GET",
		.path = arena_printf(arena, "/1.0/operations/%s/wait?timeout=%lld", id, (long long)(limit_ms + 999) / 1000),
		.limit_ms = limit_ms + MARGIN_MS,
	};
	int rc = ask(lxd, &request, reply, err);

	arena_free(arena);
	if (rc < 0)
		return -1;
	if (lxd_reply_operation(reply->metadata, operation, err) < 0)
		err_wrap(err, "LXD at %s: operation %s", lxd->socket, id);
	else if (operation->state == LXD_REPLY_RUNNING)
		err_set(err, ERR_TIMEOUT, "LXD at %s: an operation is not done after %lld s", lxd->socket, (long long)limit_ms / 1000);
	else if (operation->state == LXD_REPLY_FAILED)
		err_set(err, ERR_SYSTEM, "LXD at %s: %s", lxd->socket, *operation->error ? operation->error : "it was cancelled");
	else
		return 0;
	lxd_reply_release(reply);
	return -1;
}

static int send_json(const struct lxd *lxd, const char *method, const char *path, json_t *body, struct lxd_reply *reply,
	struct err *err)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	const struct request request = {.method = method, .path = path, .body = text, .length = text ? strlen(text) : 0};
	int rc;

	if (body && !text)
		err_fatal("a request to LXD cannot be written as JSON");
	json_decref(body);
	rc = ask(lxd, &request, reply, err);
	free(text);
	return rc;
}

/* An operation that a reply began is waited for; the reply is released. */
static int finish(const struct lxd *lxd, struct lxd_reply *reply, struct lxd_reply *last, struct err *err)
{
	struct lxd_operation operation;
	int rc = lxd_reply_operation(reply->metadata, &operation, err);

	lxd_reply_release(reply);
	if (rc < 0)
		return err_wrap(err, "LXD at %s", lxd->socket);
	return lxd_await(lxd, operation.id, lxd->limit_ms, last, &operation, err);
}

int lxd_do(const struct lxd *lxd, const char *method, const char *path, json_t *body, struct err *err)
{
	struct lxd_reply reply, last;

	if (send_json(lxd, method, path, body, &reply, err) < 0)
		return -1;
	if (reply.type == LXD_REPLY_SYNC) {
		lxd_reply_release(&reply);
		return 0;
	}
	if (finish(lxd, &reply, &last, err) < 0)
		return err_wrap(err, "%s %s", method, path);
	lxd_reply_release(&last);
	return 0;
}

int lxd_begin(const struct lxd *lxd, const char *path, json_t *body, struct lxd_reply *reply, struct lxd_operation *operation,
	struct err *err)
{
	if (send_json(lxd, "POST", path, body, reply, err) < 0)
		return -1;
	if (lxd_reply_operation(reply->metadata, operation, err) == 0)
		return 0;
	lxd_reply_release(reply);
	return err_wrap(err, "LXD at %s: POST %s", lxd->socket, path);
}

char *lxd_import(const struct lxd *lxd, struct arena *arena, const void *bytes, size_t length, struct err *err)
{
	const struct request request = {
		.method = "POST", .path = "/1.0/images", .body = bytes, .length = length, .type = "application/octet-stream"};
	struct lxd_reply reply, last;
	const json_t *metadata;
	const char *fingerprint;
	char *copy = NULL;

	if (ask(lxd, &request, &reply, err) < 0 || finish(lxd, &reply, &last, err) < 0) {
		err_wrap(err, "import of an image");
		return NULL;
	}
	metadata = json_object_get(last.metadata, "metadata");
	if (!json_is_object(metadata) || jsonget_string(metadata, "fingerprint", &fingerprint, err) < 0)
		err_set(err, ERR_INPUT, "LXD at %s: an imported image has no fingerprint", lxd->socket);
	else
		copy = arena_strdup(arena, fingerprint);
	lxd_reply_release(&last);
	return copy;
}

int lxd_export(const struct lxd *lxd, const char *fingerprint, int to, struct err *err)
{
	struct arena *arena = arena_new();
	const struct request request = {.method = "GET", .path = arena_printf(arena, "/1.0/images/%s/export", fingerprint), .to = &to,
		.limit_ms = EXPORT_LIMIT_MS};
	struct lxd_reply reply;
	int rc = ask(lxd, &request, &reply, err);

	if (rc == 0)
		lxd_reply_release(&reply);
	arena_free(arena);
	return rc;
}
