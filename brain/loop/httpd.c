#include "loop/httpd.h"

#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/deadlines.h"
#include "loop/framing.h"
#include "loop/listen.h"
#include "loop/range.h"
#include "loop/spool.h"

enum {
	DEADLINE_MS = 30000,
	CONNECTIONS = 1000,
	STALL_S = 60,             /* a file or stream whose reader takes nothing for so long is ended */
	STREAM_BLOCK = 16 * 1024, /* bytes asked of a stream's `read` at once */
	ROUNDS = 8                /* of MHD_run in one go */
};

struct httpd {
	struct loop *loop;
	struct MHD_Daemon *daemon;
	struct loop_source *ready, *again; /* the daemon's epoll descriptor; it has more to do at once */
	struct loop_source *stall; /* the daemon's own time limits: STALL_S */
	struct deadlines deadlines;
	const struct httpd_handler *handler;
	void *cookie;
	struct httpd_config config;
	size_t unverified;
	bool stopping;
	LIST_HEAD(, connection) connections;
};

struct connection {
	LIST_ENTRY(connection) link;
	struct httpd *httpd;
	struct MHD_Connection *mhd;
	struct httpd_request *request; /* NULL between requests */
	struct deadline deadline;
	char peer[LISTEN_NAME];
};

struct httpd_request {
	struct connection *connection;
	const char *method, *path;
	void *own;
	struct spool body;
	size_t counted; /* bytes of it in httpd->unverified */
	struct MHD_Response *response;
	unsigned status;
	httpd_read_fn *read; /* NULL: no stream */
	void *read_cookie;
	const char *refused; /* why the body is not kept: then the answer is 503 */
	bool begun, uncounted, answered, hidden_nul; /* the last: %00 in the path */
	bool unlimited; /* a file or stream: STALL_S instead of the deadline */
	bool suspended; /* until it is answered */
	bool paused, more; /* a stream: waits for httpd_more(); it was called meanwhile */
};

static void *allocate(size_t size)
{
	void *made = calloc(1, size);

	if (!made)
		err_fatal("out of memory");
	return made;
}

static void deadline_start(struct connection *connection)
{
	deadlines_start(&connection->httpd->deadlines, &connection->deadline, connection);
}

/*
 * libmicrohttpd sends nothing while a request is coming in, so our bytes don't get between others. After that its
 * read of the socket ends, and with it the connection.
 */
static void on_deadline(void *cookie)
{
	static const char late[] =
		"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 35\r\n\r\n{\"error\":\"too slow: send it again\"}";
	const struct connection *connection = cookie;
	int fd = MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

	if (connection->request && connection->request->suspended) {
		httpd_answer_error(connection->request, MHD_HTTP_SERVICE_UNAVAILABLE, "no answer in time: try again");
		return;
	}
	if (connection->request && !connection->request->answered)
		send(fd, late, sizeof late - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(fd, SHUT_RDWR);
}

/* The daemon on the loop */

static void run_late(void *cookie);

static void run(void *cookie)
{
	struct httpd *httpd = cookie;
	MHD_UNSIGNED_LONG_LONG wait_ms = 0;
	int limited = MHD_YES;

	for (int i = 0; i < ROUNDS && limited == MHD_YES && wait_ms == 0; i++) {
		MHD_run(httpd->daemon);
		limited = MHD_get_timeout(httpd->daemon, &wait_ms);
	}
	loop_cancel(httpd->stall);
	httpd->stall = NULL;
	if (limited == MHD_YES && wait_ms == 0)
		loop_wake(httpd->again);
	else if (limited == MHD_YES)
		httpd->stall = loop_after(httpd->loop, (int64_t)wait_ms, run_late, httpd);
}

static void run_late(void *cookie)
{
	struct httpd *httpd = cookie;

	httpd->stall = NULL;
	run(httpd);
}

static void on_ready(void *cookie, int fd, uint32_t events)
{
	(void)fd;
	(void)events;
	run(cookie);
}

static void on_connection(void *cookie, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode code)
{
	struct httpd *httpd = cookie;
	struct connection *connection = *context;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		deadlines_stop(&httpd->deadlines, &connection->deadline);
		LIST_REMOVE(connection, link);
		free(connection);
		*context = NULL;
		loop_wake(httpd->again); /* there may be room for one that waits */
		return;
	}
	connection = allocate(sizeof *connection);
	*connection = (struct connection){.httpd = httpd, .mhd = mhd};
	listen_name(MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr, connection->peer);
	LIST_INSERT_HEAD(&httpd->connections, connection, link);
	deadline_start(connection);
	*context = connection;
}

/* The request line is there, as it came. What is returned is the request's own pointer in on_request and on_completed. */
static void *on_request_line(void *cookie, const char *uri, struct MHD_Connection *mhd)
{
	struct connection *connection = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	struct httpd_request *request = allocate(sizeof *request);
	const char *nul = strstr(uri, "%00");

	(void)cookie;
	*request = (struct httpd_request){.connection = connection, .hidden_nul = nul && nul < uri + strcspn(uri, "?")};
	spool_init(&request->body, HTTPD_SPOOL_FROM);
	connection->request = request;
	return request;
}

static void on_completed(void *cookie, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode code)
{
	struct httpd *httpd = cookie;
	struct httpd_request *request = *context;

	(void)code;
	if (!request)
		return;
	*context = NULL;
	if (request->begun && httpd->handler->gone)
		httpd->handler->gone(httpd->cookie, request);
	httpd_verified(request);
	if (request->response)
		MHD_destroy_response(request->response);
	if (request->unlimited)
		MHD_set_connection_option(mhd, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
	request->connection->request = NULL;
	deadline_start(request->connection);
	spool_release(&request->body);
	free(request);
}

/* A request comes in */

static enum MHD_Result count_length(void *cookie, enum MHD_ValueKind kind, const char *name, const char *value)
{
	unsigned *count = cookie;

	(void)kind;
	(void)value;
	if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0)
		++*count;
	return MHD_YES;
}

/* What is wrong with it before its body; 0: nothing. */
static unsigned look(const struct httpd *httpd, struct httpd_request *request, const char **text)
{
	struct framing framing = {.method = request->method, .length = httpd_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH),
		.coding = httpd_header(request, MHD_HTTP_HEADER_TRANSFER_ENCODING), .maximum = httpd->config.body_maximum};
	size_t declared;
	unsigned status;

	MHD_get_connection_values(request->connection->mhd, MHD_HEADER_KIND, count_length, &framing.lengths);
	status = framing_check(&framing, &declared, text);
	if (status)
		return status;
	*text = "a path has no NUL in it";
	if (request->hidden_nul)
		return MHD_HTTP_BAD_REQUEST;
	*text = "the server shuts down: try again";
	if (httpd->stopping)
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	*text = "too many requests are coming in: try again";
	request->uncounted = declared <= httpd->config.uncounted_maximum;
	if (!request->uncounted && httpd->config.unverified_maximum && httpd->unverified >= httpd->config.unverified_maximum)
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	return 0;
}

static enum MHD_Result queue(struct httpd_request *request)
{
	struct MHD_Connection *mhd = request->connection->mhd;

	if (request->unlimited) {
		deadlines_stop(&request->connection->httpd->deadlines, &request->connection->deadline);
		MHD_set_connection_option(mhd, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)STALL_S);
	}
	return MHD_queue_response(mhd, request->status, request->response);
}

static enum MHD_Result begin(struct httpd *httpd, struct httpd_request *request)
{
	const char *text;
	unsigned status = look(httpd, request, &text);

	if (status) {
		httpd_answer_error(request, status, text);
		return queue(request);
	}
	request->begun = true;
	if (httpd->handler->begin)
		httpd->handler->begin(httpd->cookie, request);
	return request->answered ? queue(request) : MHD_YES;
}

static void drop_body(struct httpd_request *request, const char *why)
{
	request->refused = why;
	httpd_verified(request);
	spool_release(&request->body);
}

static void take(struct httpd *httpd, struct httpd_request *request, const char *bytes, size_t length)
{
	size_t most = httpd->config.unverified_maximum;
	struct err err = {0};

	if (request->answered || request->refused)
		return;
	if (!request->uncounted && most && length > most - (httpd->unverified < most ? httpd->unverified : most)) {
		drop_body(request, "too many requests are coming in: try again");
		return;
	}
	if (!request->uncounted) {
		httpd->unverified += length;
		request->counted += length;
	}
	if (spool_add(&request->body, bytes, length, &err) < 0) {
		log_error(LOG_WHAT("a request's body is not kept"), LOG_ERR(&err));
		drop_body(request, "no room for the body: try again");
		return;
	}
	if (httpd->handler->body)
		httpd->handler->body(httpd->cookie, request, bytes, length);
}

static enum MHD_Result end(struct httpd *httpd, struct httpd_request *request)
{
	if (!request->answered && request->refused)
		httpd_answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, request->refused);
	else if (!request->answered && httpd->handler->end)
		httpd->handler->end(httpd->cookie, request);
	else if (!request->answered)
		httpd_answer_error(request, MHD_HTTP_NOT_FOUND, "there is nothing here");
	if (request->answered)
		return queue(request);
	request->suspended = true;
	MHD_suspend_connection(request->connection->mhd);
	return MHD_YES;
}

/* Called with the headers, with each piece of the body, at its end, and again after the connection was resumed. */
static enum MHD_Result on_request(void *cookie, struct MHD_Connection *mhd, const char *url, const char *method,
	const char *version, const char *bytes, size_t *length, void **context)
{
	struct httpd *httpd = cookie;
	struct httpd_request *request = *context;

	(void)mhd;
	(void)version;
	if (!request->method) {
		request->method = method;
		request->path = url;
		return begin(httpd, request);
	}
	if (*length) {
		take(httpd, request, bytes, *length);
		*length = 0;
		return MHD_YES;
	}
	return request->answered ? queue(request) : end(httpd, request);
}

/* The server begins and ends */

static __attribute__((format(printf, 2, 0))) void on_daemon_log(void *cookie, const char *format, va_list values)
{
	const struct httpd *httpd = cookie;
	char text[512];

	vsnprintf(text, sizeof text, format, values);
	text[strcspn(text, "\n")] = '\0';
	log_debug(LOG_WHAT("http server"), LOG_TEXT("option", httpd->config.option), {.key = "text", .text = text});
}

static struct MHD_Daemon *start(struct httpd *httpd, int fd)
{
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, httpd,
		MHD_OPTION_EXTERNAL_LOGGER, on_daemon_log, httpd, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_CONNECTION_LIMIT, httpd->config.connections,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, httpd->config.connections_each, MHD_OPTION_NOTIFY_CONNECTION, on_connection, httpd,
		MHD_OPTION_URI_LOG_CALLBACK, on_request_line, httpd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, httpd, MHD_OPTION_END);
}

struct httpd *httpd_new(struct loop *loop, const struct httpd_config *config, const struct httpd_handler *handler, void *cookie,
	struct err *err)
{
	int fd = listen_tcp(config->listen, config->option, err);
	struct httpd *httpd;

	if (fd < 0)
		return NULL;
	httpd = allocate(sizeof *httpd);
	*httpd = (struct httpd){.loop = loop, .handler = handler, .cookie = cookie, .config = *config};
	httpd->config.deadline_ms = config->deadline_ms ? config->deadline_ms : DEADLINE_MS;
	httpd->config.connections = config->connections ? config->connections : CONNECTIONS;
	deadlines_init(&httpd->deadlines, loop, httpd->config.deadline_ms, httpd->config.connections, on_deadline);
	LIST_INIT(&httpd->connections);
	httpd->daemon = start(httpd, fd);
	if (!httpd->daemon) {
		err_set(err, ERR_SYSTEM, "%s: the HTTP server does not start on %s", config->option, config->listen);
		close(fd);
		free(httpd);
		return NULL;
	}
	fd = MHD_get_daemon_info(httpd->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	httpd->ready = loop_io(loop, fd, EPOLLIN, on_ready, httpd);
	httpd->again = loop_defer(loop, run, httpd);
	return httpd;
}

void httpd_free(struct httpd *httpd)
{
	struct connection *connection;

	if (!httpd)
		return;
	httpd->stopping = true;
	LIST_FOREACH(connection, &httpd->connections, link) {
		if (connection->request && connection->request->suspended)
			httpd_answer_error(connection->request, MHD_HTTP_SERVICE_UNAVAILABLE, "the server shuts down: try again");
		else if (connection->request)
			httpd_more(connection->request);
	}
	run(httpd);
	loop_cancel(httpd->ready);
	MHD_stop_daemon(httpd->daemon);
	loop_cancel(httpd->again);
	loop_cancel(httpd->stall);
	deadlines_release(&httpd->deadlines);
	free(httpd);
}

unsigned httpd_port(const struct httpd *httpd)
{
	return listen_port(MHD_get_daemon_info(httpd->daemon, MHD_DAEMON_INFO_LISTEN_FD)->listen_fd);
}

const char *httpd_method(const struct httpd_request *request)
{
	return request->method;
}

const char *httpd_path(const struct httpd_request *request)
{
	return request->path;
}

const char *httpd_header(const struct httpd_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection->mhd, MHD_HEADER_KIND, name);
}

const char *httpd_query(const struct httpd_request *request, const char *name)
{
	struct MHD_Connection *mhd = request->connection->mhd;
	const char *value = NULL;

	if (MHD_lookup_connection_value_n(mhd, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, NULL) != MHD_YES)
		return NULL;
	return value ? value : "";
}

const char *httpd_peer(const struct httpd_request *request)
{
	return request->connection->peer;
}

struct headers {
	httpd_header_fn *call;
	void *cookie;
};

static enum MHD_Result each_header(void *cookie, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct headers *headers = cookie;

	(void)kind;
	headers->call(headers->cookie, name, value ? value : "");
	return MHD_YES;
}

void httpd_headers(const struct httpd_request *request, httpd_header_fn *call, void *cookie)
{
	struct headers headers = {.call = call, .cookie = cookie};

	MHD_get_connection_values(request->connection->mhd, MHD_HEADER_KIND, each_header, &headers);
}

void httpd_set(struct httpd_request *request, void *own)
{
	request->own = own;
}

void *httpd_get(const struct httpd_request *request)
{
	return request->own;
}

const void *httpd_body(struct httpd_request *request, size_t *length, struct err *err)
{
	*length = request->body.length;
	return spool_bytes(&request->body, err);
}

void httpd_verified(struct httpd_request *request)
{
	request->connection->httpd->unverified -= request->counted;
	request->counted = 0;
	request->uncounted = true;
}

bool httpd_answered(const struct httpd_request *request)
{
	return request->answered;
}

/* Answers */

static void resume(struct connection *connection)
{
	MHD_resume_connection(connection->mhd);
	loop_wake(connection->httpd->again);
}

/* Takes the response, with or without a body. */
static void answer(struct httpd_request *request, unsigned status, struct MHD_Response *response, const char *type,
	const struct httpd_field *headers)
{
	if (!response)
		err_fatal("out of memory");
	if (request->answered) {
		MHD_destroy_response(response);
		return;
	}
	if (type)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	for (; headers && headers->name; headers++)
		MHD_add_response_header(response, headers->name, headers->value);
	request->answered = true;
	request->status = status;
	request->response = response;
	deadline_start(request->connection); /* now to send it */
	if (request->suspended)
		resume(request->connection);
	request->suspended = false;
}

void httpd_answer(struct httpd_request *request, unsigned status, const char *type, const struct httpd_field *headers,
	const void *body, size_t length)
{
	void *bytes = (void *)(uintptr_t)body; /* it is only read: MHD_RESPMEM_MUST_COPY */

	answer(request, status, MHD_create_response_from_buffer(length, bytes, MHD_RESPMEM_MUST_COPY), type, headers);
}

void httpd_answer_error(struct httpd_request *request, unsigned status, const char *text)
{
	static const struct httpd_field later[] = {{MHD_HTTP_HEADER_RETRY_AFTER, "10"}, {NULL, NULL}};
	bool wait = status == MHD_HTTP_TOO_MANY_REQUESTS || status == MHD_HTTP_SERVICE_UNAVAILABLE;
	json_t *json = json_pack("{s:s}", "error", text);
	char *body = json ? json_dumps(json, JSON_COMPACT) : NULL; /* NULL: not UTF-8 */

	httpd_answer(request, status, "application/json", wait ? later : NULL, body ? body : "{}", body ? strlen(body) : 2);
	free(body);
	json_decref(json);
}

void httpd_answer_file(struct httpd_request *request, const char *type, const struct httpd_field *headers, int fd)
{
	static const unsigned statuses[] = {[RANGE_WHOLE] = MHD_HTTP_OK, [RANGE_PART] = MHD_HTTP_PARTIAL_CONTENT,
		[RANGE_OUTSIDE] = MHD_HTTP_RANGE_NOT_SATISFIABLE};
	struct MHD_Response *response;
	struct stat st;
	uint64_t first, length;
	enum range range;
	char text[RANGE_TEXT];

	if (request->answered || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		httpd_answer_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "it is no file");
		return;
	}
	range = range_parse(httpd_header(request, MHD_HTTP_HEADER_RANGE), (uint64_t)st.st_size, &first, &length);
	response = MHD_create_response_from_fd_at_offset64(length, fd, first);
	if (!response)
		err_fatal("out of memory");
	MHD_add_response_header(response, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
	if (range != RANGE_WHOLE)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_RANGE,
			range_text(range, first, length, (uint64_t)st.st_size, text));
	request->unlimited = true;
	answer(request, statuses[range], response, type, headers);
}

static ssize_t on_read(void *cookie, uint64_t position, char *out, size_t room)
{
	struct httpd_request *request = cookie;
	ssize_t got = 0;

	(void)position;
	do {
		request->more = false;
		if (!request->connection->httpd->stopping)
			got = request->read(request->read_cookie, request, out, room);
	} while (got == 0 && request->more);
	if (got > 0)
		return got;
	if (got < 0 || request->connection->httpd->stopping)
		return MHD_CONTENT_READER_END_OF_STREAM;
	request->paused = true;
	MHD_suspend_connection(request->connection->mhd);
	return 0;
}

void httpd_answer_stream(struct httpd_request *request, const char *type, const struct httpd_field *headers, httpd_read_fn *read,
	void *cookie)
{
	if (request->answered)
		return;
	request->read = read;
	request->read_cookie = cookie;
	request->unlimited = true;
	answer(request, MHD_HTTP_OK, MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_read, request, NULL), type,
		headers);
}

void httpd_more(struct httpd_request *request)
{
	request->more = true;
	if (request->paused)
		resume(request->connection);
	request->paused = false;
}
