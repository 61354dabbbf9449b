#include "loop/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/lazy.h"

enum { LIMIT_MS = 30000, MAXIMUM = 1024 * 1024 };

/* Of libcurl, which brings thirty libraries along and is loaded when there is a first request (base/lazy.h). */
#define CURL_CALLS(X) \
	X(easy_cleanup) X(easy_getinfo) X(easy_init) X(easy_perform) X(easy_setopt) X(easy_strerror) X(free) \
	X(global_cleanup) X(global_init) X(multi_add_handle) X(multi_assign) X(multi_cleanup) X(multi_info_read) \
	X(multi_init) X(multi_remove_handle) X(multi_setopt) X(multi_socket_action) X(slist_append) X(slist_free_all) \
	X(url) X(url_cleanup) X(url_get) X(url_set)
#define CURL_DECLARE(name) __typeof__(curl_##name) *name;
#define CURL_NAME(name) {"curl_" #name, offsetof(struct curl, name)},

static struct curl {
	CURL_CALLS(CURL_DECLARE)
} curl;

static int load(struct err *err)
{
	static const struct lazy_call calls[] = {CURL_CALLS(CURL_NAME)};
	static bool loaded;

	loaded = loaded || lazy_load("libcurl.so.4", calls, sizeof calls / sizeof *calls, &curl, err) == 0;
	return loaded ? 0 : -1;
}

struct http {
	struct loop *loop;
	CURLM *multi;
	struct loop_source *timer;
	LIST_HEAD(, http_call) calls;
};

struct http_call {
	LIST_ENTRY(http_call) link;
	struct http *http; /* NULL: http_once() */
	CURL *easy;
	struct curl_slist *headers;
	http_fn *call;
	void *cookie;
	struct buf reply_headers;
	struct buf body;
	bool full;
	int to; /* -1: the body is kept */
	int64_t to_left; /* bytes that may go there */
	char *where; /* "GET http://host/path", for messages */
	char why[CURL_ERROR_SIZE];
};

/* One request made ready */

static void call_free(struct http_call *call)
{
	if (call->http) {
		LIST_REMOVE(call, link);
		curl.multi_remove_handle(call->http->multi, call->easy);
	}
	curl.easy_cleanup(call->easy);
	curl.slist_free_all(call->headers);
	buf_release(&call->reply_headers);
	buf_release(&call->body);
	free(call->where);
	free(call);
}

static size_t write_out(int to, const char *bytes, size_t count)
{
	for (size_t left = count; left;) {
		ssize_t put = write(to, bytes + count - left, left);

		if (put < 0 && errno != EINTR)
			return 0;
		left -= put > 0 ? (size_t)put : 0;
	}
	return count;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *cookie)
{
	struct http_call *call = cookie;
	long status = 0;

	(void)size; /* always 1 */
	if (call->to >= 0 && curl.easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status / 100 == 2) {
		call->full = (int64_t)count > call->to_left;
		call->to_left -= (int64_t)count;
		return call->full ? 0 : write_out(call->to, bytes, count);
	}
	call->full = buf_add(&call->body, bytes, count) < 0;
	return call->full ? 0 : count;
}

/* One header line. A status line begins the headers of another reply: after 100 Continue. */
static size_t on_header(char *bytes, size_t size, size_t count, void *cookie)
{
	struct http_call *call = cookie;
	size_t length = count;

	(void)size; /* always 1 */
	if (count >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
		buf_clear(&call->reply_headers);
		return count;
	}
	while (length && (bytes[length - 1] == '\r' || bytes[length - 1] == '\n'))
		length--;
	if (!length)
		return count;
	call->full = buf_add(&call->reply_headers, bytes, length) < 0 || buf_adds(&call->reply_headers, "\n") < 0;
	return call->full ? 0 : count;
}

/* http or https, a host, nobody's name. */
static int check_url(const char *url, struct err *err)
{
	static const CURLUPart forbidden[] = {CURLUPART_USER, CURLUPART_PASSWORD};
	CURLU *parsed = curl.url();
	char *part = NULL;
	int rc = -1;

	if (!parsed)
		err_fatal("out of memory");
	if (curl.url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK ||
		curl.url_get(parsed, CURLUPART_SCHEME, &part, 0) != CURLUE_OK) {
		err_set(err, ERR_USAGE, "not a URL");
		goto out;
	}
	if (strcmp(part, "http") != 0 && strcmp(part, "https") != 0) {
		err_set(err, ERR_USAGE, "a URL of another scheme than http and https");
		goto out;
	}
	for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
		curl.free(part);
		part = NULL;
		if (curl.url_get(parsed, forbidden[i], &part, 0) == CURLUE_OK) {
			err_set(err, ERR_USAGE, "a URL with a user or password in it: send a header instead");
			goto out;
		}
	}
	rc = 0;
out:
	curl.free(part);
	curl.url_cleanup(parsed);
	return rc;
}

static int add_headers(struct http_call *call, const char *const *headers, struct err *err)
{
	static const char *const none[] = {NULL};

	/* Without this, curl waits up to a second before it sends a larger body. */
	call->headers = curl.slist_append(NULL, "Expect:");
	for (const char *const *header = headers ? headers : none; call->headers && *header; header++) {
		struct curl_slist *longer;

		if (strpbrk(*header, "\r\n") || !strchr(*header, ':'))
			return err_set(err, ERR_USAGE, "a header must be `Name: value` on one line");
		longer = curl.slist_append(call->headers, *header);
		if (!longer)
			err_fatal("out of memory");
		call->headers = longer;
	}
	if (!call->headers)
		err_fatal("out of memory");
	curl.easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
	return 0;
}

static void set_body(CURL *easy, const struct http_request *request)
{
	if (!request->body)
		return;
	curl.easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->length);
	if (curl.easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->length ? request->body : "") != CURLE_OK)
		err_fatal("out of memory");
}

static void set_options(struct http_call *call, const struct http_request *request)
{
	CURL *easy = call->easy;

	curl.easy_setopt(easy, CURLOPT_PRIVATE, call);
	curl.easy_setopt(easy, CURLOPT_URL, request->url);
	curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl.easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl.easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl.easy_setopt(easy, CURLOPT_PROXY, "");
	curl.easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl.easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(request->limit_ms ? request->limit_ms : LIMIT_MS));
	curl.easy_setopt(easy, CURLOPT_USERAGENT, "byoci/" BYOCI_VERSION);
	curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, call->why);
	curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl.easy_setopt(easy, CURLOPT_WRITEDATA, call);
	curl.easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl.easy_setopt(easy, CURLOPT_HEADERDATA, call);
	if (request->ca) {
		curl.easy_setopt(easy, CURLOPT_CAINFO, request->ca);
		curl.easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	if (request->fresh)
		curl.easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
	if (request->unix_socket)
		curl.easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
	set_body(easy, request);
	if (request->method && strcmp(request->method, "HEAD") == 0)
		curl.easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (request->method)
		curl.easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

/* What follows "?" may be a secret, and stays out of messages. */
static char *name_request(const struct http_request *request)
{
	const char *method = request->method ? request->method : request->body ? "POST" : "GET";
	struct buf where;

	buf_init(&where, 512);
	if (buf_printf(&where, "%s %.*s", method, (int)strcspn(request->url, "?#"), request->url) < 0 && buf_adds(&where, method) < 0)
		buf_clear(&where);
	return where.data ? where.data : strdup("a request");
}

static bool is_token(const char *method)
{
	return *method && strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(method);
}

static struct http_call *call_new(const struct http_request *request, struct err *err)
{
	struct http_call *call;

	if (load(err) < 0 || check_url(request->url, err) < 0)
		return NULL;
	if (request->method && !is_token(request->method)) {
		err_set(err, ERR_USAGE, "not an HTTP method");
		return NULL;
	}
	call = calloc(1, sizeof *call);
	if (!call || !(call->easy = curl.easy_init()) || !(call->where = name_request(request)))
		err_fatal("out of memory");
	call->to = request->to ? *request->to : -1;
	call->to_left = request->to_maximum ? request->to_maximum : INT64_MAX;
	buf_init(&call->body, request->maximum ? request->maximum : MAXIMUM);
	buf_init(&call->reply_headers, request->maximum ? request->maximum : MAXIMUM);
	set_options(call, request);
	if (add_headers(call, request->headers, err) < 0) {
		call_free(call);
		return NULL;
	}
	return call;
}

/* These come before anything of a request is sent. */
static bool is_unsent(CURLcode code)
{
	return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT || code == CURLE_SSL_CONNECT_ERROR ||
		code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
}

/* How it ended: 0 with *reply, borrowed from `call`, or -1. */
static int conclude(struct http_call *call, CURLcode code, struct http_reply *reply, struct err *err)
{
	static const struct {
		CURLcode code;
		enum err_kind kind;
	} kinds[] = {
		{CURLE_OPERATION_TIMEDOUT, ERR_TIMEOUT},
		{CURLE_UNSUPPORTED_PROTOCOL, ERR_INPUT}, /* HTTP/0.9 */
		{CURLE_WEIRD_SERVER_REPLY, ERR_INPUT},
		{CURLE_BAD_CONTENT_ENCODING, ERR_INPUT},
	};
	enum err_kind kind = ERR_NETWORK;
	long status = 0;

	curl.easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_OK) {
		*reply = (struct http_reply){.status = (unsigned)status,
			.headers = call->reply_headers.data ? call->reply_headers.data : "",
			.body = call->body.data ? call->body.data : "",
			.length = call->body.length};
		return 0;
	}
	if (call->full)
		return err_set(err, ERR_FULL, "%s: the reply has more bytes than are allowed", call->where);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i].code == code)
			kind = kinds[i].kind;
	err_set(err, kind, "%s: %s", call->where, *call->why ? call->why : curl.easy_strerror(code));
	err->number = is_unsent(code) ? ECONNREFUSED : 0;
	return -1;
}

/* All requests on the loop */

/* Each call is gone from the list before its callback, which may start and cancel others. */
static void finish(struct http_call *call, CURLcode code)
{
	struct http_reply reply;
	struct err err = {0};
	int rc = conclude(call, code, &reply, &err);

	LIST_REMOVE(call, link);
	curl.multi_remove_handle(call->http->multi, call->easy);
	call->http = NULL;
	call->call(call->cookie, rc == 0 ? &reply : NULL, &err);
	call_free(call);
}

static void act(struct http *http, curl_socket_t fd, int events)
{
	CURLMsg *message;
	int left;

	curl.multi_socket_action(http->multi, fd, events, &left);
	while ((message = curl.multi_info_read(http->multi, &left))) {
		struct http_call *call;
		CURLcode code = message->data.result;

		curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
		finish(call, code);
	}
}

static void on_io(void *cookie, int fd, uint32_t events)
{
	int wanted = 0;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))
		wanted |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		wanted |= CURL_CSELECT_OUT;
	if (events & EPOLLERR)
		wanted |= CURL_CSELECT_ERR;
	act(cookie, fd, wanted);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *cookie, void *own)
{
	struct http *http = cookie;
	struct loop_source *source = own;
	uint32_t events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		loop_cancel(source);
		curl.multi_assign(http->multi, fd, NULL);
		return 0;
	}
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= EPOLLOUT;
	if (source)
		loop_io_events(source, events);
	else
		curl.multi_assign(http->multi, fd, loop_io(http->loop, fd, events, on_io, http));
	return 0;
}

static void on_timer(void *cookie)
{
	struct http *http = cookie;

	http->timer = NULL;
	act(http, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timeout(CURLM *multi, long delay_ms, void *cookie)
{
	struct http *http = cookie;

	(void)multi;
	loop_cancel(http->timer);
	http->timer = delay_ms < 0 ? NULL : loop_after(http->loop, delay_ms, on_timer, http);
	return 0;
}

struct http *http_new(struct loop *loop, struct err *err)
{
	struct http *http;

	if (load(err) < 0)
		return NULL;
	if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		err_set(err, ERR_SYSTEM, "libcurl does not start");
		return NULL;
	}
	http = calloc(1, sizeof *http);
	if (!http || !(http->multi = curl.multi_init()))
		err_fatal("out of memory");
	http->loop = loop;
	LIST_INIT(&http->calls);
	curl.multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl.multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl.multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl.multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	return http;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	while (!LIST_EMPTY(&http->calls))
		http_cancel(LIST_FIRST(&http->calls));
	curl.multi_cleanup(http->multi);
	loop_cancel(http->timer);
	free(http);
	curl.global_cleanup();
}

struct http_call *http_request(struct http *http, const struct http_request *request, http_fn *call, void *cookie,
	struct err *err)
{
	struct http_call *made = call_new(request, err);

	if (!made)
		return NULL;
	made->http = http;
	made->call = call;
	made->cookie = cookie;
	LIST_INSERT_HEAD(&http->calls, made, link);
	if (curl.multi_add_handle(http->multi, made->easy) != CURLM_OK)
		err_fatal("out of memory");
	return made;
}

void http_cancel(struct http_call *call)
{
	if (call)
		call_free(call);
}

/* Command-line tools */

int http_once(const struct http_request *request, struct arena *arena, struct http_reply *reply, struct err *err)
{
	struct http_call *call = call_new(request, err);
	int rc;

	if (!call)
		return -1;
	rc = conclude(call, curl.easy_perform(call->easy), reply, err);
	if (rc == 0) {
		reply->headers = arena_strdup(arena, reply->headers);
		reply->body = arena_memdup(arena, reply->body, reply->length);
	}
	call_free(call);
	return rc;
}

/* What a reply has */

const char *http_header(const struct http_reply *reply, struct arena *arena, const char *name)
{
	size_t length = strlen(name);

	for (const char *line = reply->headers; *line; line += strcspn(line, "\n") + 1) {
		const char *value = line + length + 1, *end;

		if (strncasecmp(line, name, length) != 0 || line[length] != ':')
			continue;
		value += strspn(value, " \t");
		end = value + strcspn(value, "\n");
		while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		return arena_memdup(arena, value, (size_t)(end - value));
	}
	return NULL;
}
