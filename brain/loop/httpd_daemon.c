#include "loop/httpd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/framing.h"
#include "loop/httpd_inner.h"

enum {
	DEADLINE_MS = 30000,
	CONNECTIONS = 1000,
	MEMORY = 16 * 1024, /* bytes of a connection: half of it is read at once; all of it is wiped after each request */
	ROUNDS = 8,    /* of MHD_run in one go */
	SETTLE_MS = 50 /* what is answered sooner costs no system call to wait for */
};

static void *allocate(size_t size)
{
	void *made = calloc(1, size);

	if (!made)
		err_fatal("out of memory");
	return made;
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

	if (connection->request && connection->request->waiting) {
		httpd_answer_error(connection->request, MHD_HTTP_SERVICE_UNAVAILABLE, "no answer in time: try again");
		return;
	}
	if (connection->request && !connection->request->answered)
		send(fd, late, sizeof late - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(fd, SHUT_RDWR);
}

/* The daemon on the loop */

static void run_late(void *cookie);
static void on_settle(void *cookie);

/*
 * Requests that wait for their answer are asked again in each round, which is less than to take them out of epoll and back: the
 * brain answers at the end of its turn. So while some wait, the daemon always has more to do: it is done when nothing came of it.
 */
static void run(void *cookie)
{
	struct httpd *httpd = cookie;
	MHD_UNSIGNED_LONG_LONG wait_ms = 0;
	int limited = MHD_YES;
	bool idle = false;

	for (int i = 0; i < ROUNDS && limited == MHD_YES && wait_ms == 0 && !idle; i++) {
		httpd->moved = false;
		MHD_run(httpd->daemon);
		limited = MHD_get_timeout(httpd->daemon, &wait_ms);
		idle = httpd->waiting && !httpd->moved;
	}
	loop_cancel(httpd->stall);
	httpd->stall = NULL;
	if (httpd->waiting && !httpd->settle)
		httpd->settle = loop_after(httpd->loop, SETTLE_MS, on_settle, httpd);
	if (limited == MHD_YES && wait_ms == 0 && !idle)
		loop_wake(httpd->again);
	else if (limited == MHD_YES && wait_ms > 0)
		httpd->stall = loop_after(httpd->loop, (int64_t)wait_ms, run_late, httpd);
}

static void run_late(void *cookie)
{
	struct httpd *httpd = cookie;

	httpd->stall = NULL;
	run(httpd);
}

static void on_settle(void *cookie)
{
	struct httpd *httpd = cookie;

	httpd->settle = NULL;
	httpd->tick++;
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

	httpd->moved = true;
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
	httpd_deadline_start(connection);
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
	httpd->moved = true;
	if (!request)
		return;
	*context = NULL;
	if (request->waiting && !request->suspended)
		httpd->waiting--;
	if (request->begun && httpd->handler->gone)
		httpd->handler->gone(httpd->cookie, request);
	httpd_verified(request);
	if (request->response)
		MHD_destroy_response(request->response);
	if (request->unlimited)
		MHD_set_connection_option(mhd, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
	httpd_crowd_leave(httpd, request);
	request->connection->request = NULL;
	httpd_deadline_start(request->connection);
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
		httpd_crowd_join(request->connection->httpd, request);
		deadlines_stop(&request->connection->httpd->deadlines, &request->connection->deadline);
		MHD_set_connection_option(mhd, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)HTTPD_STALL_S);
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
	request->waiting = true;
	request->tick = httpd->tick;
	httpd->waiting++;
	return MHD_YES;
}

/* In vain, one or two times SETTLE_MS: it is taken out of the rounds. */
static enum MHD_Result wait_on(struct httpd *httpd, struct httpd_request *request)
{
	if (httpd->tick - request->tick < 2)
		return MHD_YES;
	httpd->waiting--;
	request->suspended = true;
	MHD_suspend_connection(request->connection->mhd);
	return MHD_YES;
}

/* Called with the headers, with each piece of the body, at its end, and again in each round until it is answered. */
static enum MHD_Result on_request(void *cookie, struct MHD_Connection *mhd, const char *url, const char *method,
	const char *version, const char *bytes, size_t *length, void **context)
{
	struct httpd *httpd = cookie;
	struct httpd_request *request = *context;

	(void)mhd;
	(void)version;
	if (request->waiting)
		return wait_on(httpd, request);
	httpd->moved = true;
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
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, httpd->config.connections_each, MHD_OPTION_NOTIFY_CONNECTION, on_connection, httpd,
		MHD_OPTION_URI_LOG_CALLBACK, on_request_line, httpd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, httpd, MHD_OPTION_END);
}

struct httpd *httpd_daemon_new(struct loop *loop, const struct httpd_config *config, const struct httpd_handler *handler, void *cookie,
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
	TAILQ_INIT(&httpd->crowd);
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

void httpd_daemon_free(struct httpd *httpd)
{
	struct connection *connection;

	if (!httpd)
		return;
	httpd->stopping = true;
	LIST_FOREACH(connection, &httpd->connections, link) {
		if (connection->request && connection->request->waiting)
			httpd_answer_error(connection->request, MHD_HTTP_SERVICE_UNAVAILABLE, "the server shuts down: try again");
		else if (connection->request)
			httpd_more(connection->request);
	}
	run(httpd);
	loop_cancel(httpd->ready);
	MHD_stop_daemon(httpd->daemon);
	loop_cancel(httpd->again);
	loop_cancel(httpd->stall);
	loop_cancel(httpd->settle);
	deadlines_release(&httpd->deadlines);
	free(httpd);
}

unsigned httpd_daemon_port(const struct httpd *httpd)
{
	return listen_port(MHD_get_daemon_info(httpd->daemon, MHD_DAEMON_INFO_LISTEN_FD)->listen_fd);
}
