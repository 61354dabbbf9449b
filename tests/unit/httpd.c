#include "loop/httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "tests/tap.h"

enum { LIMIT = 200000 }; /* bytes of a body */

/* What the handler saw, and what it is to do by the path. */
struct site {
	struct loop *loop;
	struct httpd *httpd;
	int begun, pieces, ended, gone, left;
	size_t bytes;
	unsigned char sum; /* of the bytes as they arrive */
	bool matches;      /* httpd_body() has the same bytes */
	char path[64], query[64], header[64], peer[64];
	struct httpd_request *held;
	const char *say; /* of a stream; NULL: nothing now */
	bool said_all;
	bool stop_at_body, stop_at_gone;
};

static void on_begin(void *cookie, struct httpd_request *request)
{
	struct site *site = cookie;

	site->begun++;
	site->pieces = 0;
	site->bytes = 0;
	site->sum = 0;
	snprintf(site->path, sizeof site->path, "%.63s", httpd_path(request));
	snprintf(site->query, sizeof site->query, "%.63s", httpd_query(request, "q") ? httpd_query(request, "q") : "(none)");
	snprintf(site->header, sizeof site->header, "%.63s",
		httpd_header(request, "x-own") ? httpd_header(request, "x-own") : "(none)");
	snprintf(site->peer, sizeof site->peer, "%s", httpd_peer(request));
	httpd_set(request, site);
	if (strcmp(httpd_path(request), "/never") == 0)
		httpd_answer_error(request, 401, "who are you?");
}

static void on_body(void *cookie, struct httpd_request *request, const void *bytes, size_t length)
{
	struct site *site = cookie;

	(void)request;
	site->pieces++;
	site->bytes += length;
	for (size_t i = 0; i < length; i++)
		site->sum = (unsigned char)(site->sum * 31 + ((const unsigned char *)bytes)[i]);
	if (site->stop_at_body)
		loop_stop(site->loop);
}

static void check_body(struct site *site, struct httpd_request *request)
{
	struct err err = {0};
	size_t length;
	const unsigned char *bytes = httpd_body(request, &length, &err);
	unsigned char sum = 0;

	for (size_t i = 0; bytes && i < length; i++)
		sum = (unsigned char)(sum * 31 + bytes[i]);
	site->matches = bytes && length == site->bytes && sum == site->sum;
}

static ssize_t on_stream(void *cookie, struct httpd_request *request, char *out, size_t room)
{
	struct site *site = cookie;
	const char *say = site->say;

	(void)request;
	(void)room;
	site->say = NULL;
	if (say)
		memcpy(out, say, strlen(say));
	if (say || !site->said_all)
		return say ? (ssize_t)strlen(say) : 0;
	return -1;
}

static void send_file(struct httpd_request *request)
{
	char name[] = "/tmp/byoci-httpd-XXXXXX";
	int fd = mkstemp(name);

	unlink(name);
	if (write(fd, "0123456789", 10) == 10)
		httpd_answer_file(request, "text/plain", NULL, fd);
}

static void on_end(void *cookie, struct httpd_request *request)
{
	struct site *site = cookie;

	site->ended++;
	check_body(site, request);
	if (strcmp(httpd_path(request), "/hold") == 0) {
		site->held = request;
		loop_stop(site->loop);
		return;
	}
	if (strcmp(httpd_path(request), "/stream") == 0) {
		site->held = request;
		httpd_answer_stream(request, "text/event-stream", NULL, on_stream, site);
	} else if (strcmp(httpd_path(request), "/file") == 0) {
		send_file(request);
	} else {
		httpd_verified(request);
		httpd_answer(request, 202, "text/plain", (const struct httpd_field[]){{"X-Seen", "yes"}, {NULL, NULL}}, "taken", 5);
	}
}

static void on_gone(void *cookie, struct httpd_request *request)
{
	struct site *site = cookie;

	if (httpd_get(request) != site)
		ok(false, "gone for a request that never began");
	site->gone++;
	site->held = NULL;
	if (site->stop_at_gone)
		loop_stop(site->loop);
}

static const struct httpd_handler handler = {.begin = on_begin, .body = on_body, .end = on_end, .gone = on_gone};

static void stop(void *cookie)
{
	loop_stop(cookie);
}

static void run(struct site *site)
{
	struct err err = {0};

	if (loop_run(site->loop, &err) < 0)
		ok(false, err.text);
}

/* Time in which something could happen that must not. */
static void turn(struct site *site)
{
	loop_after(site->loop, 20, stop, site->loop);
	run(site);
}

static int dial(const struct site *site)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)httpd_daemon_port(site->httpd)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
		ok(false, "connect");
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* A client on the same loop: sends all, collects until the other side closes or the text `until` came. */
struct client {
	struct site *site;
	const char *out;
	size_t left;
	struct buf in;
	const char *until;
	struct loop_source *source;
	bool closed;
};

static void on_client(void *cookie, int fd, uint32_t events)
{
	struct client *client = cookie;
	char piece[4096];
	ssize_t n;

	if ((events & EPOLLOUT) && client->left) {
		n = send(fd, client->out, client->left, MSG_NOSIGNAL);
		client->out += n > 0 ? n : 0;
		client->left -= n > 0 ? (size_t)n : 0;
	}
	if (!client->left)
		loop_io_events(client->source, EPOLLIN);
	n = recv(fd, piece, sizeof piece, 0);
	if (n > 0 && buf_add(&client->in, piece, (size_t)n) < 0)
		ok(false, "a reply that is too long");
	if (n == 0 || (n < 0 && errno != EAGAIN))
		client->closed = true;
	if (client->closed || (client->until && client->in.data && strstr(client->in.data, client->until)))
		loop_stop(client->site->loop);
}

static char *talk(struct site *site, int fd, const char *text, size_t length, const char *until)
{
	struct client client = {.site = site, .out = text, .left = length, .until = until};

	buf_init(&client.in, 1 << 20);
	client.source = loop_io(site->loop, fd, EPOLLIN | EPOLLOUT, on_client, &client);
	run(site);
	loop_cancel(client.source);
	return client.in.data ? client.in.data : strdup("");
}

/* One request on a connection of its own; the reply is yours to free. */
static char *ask(struct site *site, const char *text)
{
	int fd = dial(site);
	char *reply = talk(site, fd, text, strlen(text), NULL);

	close(fd);
	return reply;
}

static void expect(struct site *site, const char *request, const char *status, const char *also, const char *what)
{
	char *reply = ask(site, request);

	if (!ok(strncmp(reply, "HTTP/1.1 ", 9) == 0 && strncmp(reply + 9, status, 3) == 0 && strstr(reply, also), what))
		printf("# got: %.400s\n", reply);
	free(reply);
}

#define REQUEST(line, fields) line " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" fields "\r\n"

static void simple(struct site *site)
{
	expect(site, REQUEST("GET /a%20b/c?q=x%2By&z", "X-Own: mine\r\n"), "202", "X-Seen: yes", "a request is answered");
	is(site->path, "/a b/c", "its path is decoded and without the query");
	is(site->query, "x+y", "its query is decoded");
	is(site->header, "mine", "its header is found in any case");
	is(site->peer, "127.0.0.1", "its peer is named");
	expect(site, REQUEST("GET /?q", ""), "202", "taken", "a query without a value");
	is(site->query, "", "is the empty text");
	expect(site, REQUEST("POST /", "Content-Length: 5\r\n") "hello", "202", "taken", "a body is taken");
	ok(site->bytes == 5 && site->matches, "all of it, as it arrives and at the end");
	ok(site->begun == site->ended && site->gone == site->begun, "each request is gone once");
}

static void long_head(struct site *site, const char *begin, const char *status, const char *what)
{
	size_t length = strlen(begin);
	char *text = malloc(100000);

	memset(text, 'a', 99999);
	memcpy(text, begin, length);
	text[99999] = '\0';
	expect(site, text, status, "", what);
	free(text);
}

static void wrong(struct site *site)
{
	int begun = site->begun;

	expect(site, REQUEST("POST /", ""), "411", "error", "no length is 411");
	expect(site, REQUEST("POST /", "Transfer-Encoding: chunked\r\n") "1\r\nx\r\n0\r\n\r\n", "411", "error",
		"a body in chunks is 411");
	expect(site, REQUEST("POST /", "Content-Length: 200001\r\n"), "413", "error",
		"a body over the maximum is 413 before it is sent");
	expect(site, REQUEST("POST /", "Content-Length: 99999999999999999999999\r\n"), "413", "",
		"so is one of a length past counting");
	expect(site, REQUEST("POST /", "Content-Length: 5\r\nContent-Length: 6\r\n") "hello", "400", "", "two lengths are 400");
	expect(site, REQUEST("POST /", "Content-Length: -5\r\n"), "400", "", "a negative length is 400");
	expect(site, REQUEST("POST /", "Content-Length: 0x5\r\n"), "400", "", "a hexadecimal length is 400");
	expect(site, REQUEST("GET /a%00b", ""), "400", "", "a NUL in the path is 400");
	expect(site, "GET / HTTP/1.1\r\n\r\n", "400", "", "no Host is 400");
	long_head(site, "GET / HTTP/1.1\r\nHost: a\r\nX: ", "431", "headers without end are 431");
	long_head(site, "GET /", "414", "a path without end is 414");
	free(ask(site, "\x16\x03\x01\x02\x01\r\n\r\n"));
	ok(site->begun == begun, "and the handler hears of none of them");
	expect(site, REQUEST("POST /never", "Content-Length: 100\r\n"), "401", "who are you?",
		"an answer at the headers: no body is read");
	ok(site->begun == begun + 1 && site->gone == site->begun, "and that one is gone too");
}

/* A body over what is kept in memory. */
static void large(struct site *site)
{
	size_t length = LIMIT, head;
	char *text = malloc(length + 200), *reply;
	int fd = dial(site);

	head = (size_t)snprintf(text, 200, REQUEST("POST /", "Content-Length: %zu\r\n"), length);
	for (size_t i = 0; i < length; i++)
		text[head + i] = (char)(i * 7);
	reply = talk(site, fd, text, head + length, NULL);
	ok(strncmp(reply, "HTTP/1.1 202", 12) == 0, "a large body is taken");
	ok(site->bytes == length && site->pieces > 1 && site->matches, "in pieces, and is in one piece at the end");
	free(reply);
	free(text);
	close(fd);
}

static void keep_alive(struct site *site)
{
	static const char two[] = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
	int begun = site->begun;
	char *reply = ask(site, two);

	ok(site->begun == begun + 2 && site->gone == site->begun, "two requests in one go on one connection");
	is(site->path, "/2", "in their order");
	free(reply);
}

static void later(struct site *site)
{
	static const char text[] = REQUEST("POST /hold", "Content-Length: 2\r\n") "ok";
	int fd = dial(site);
	char *reply = talk(site, fd, text, sizeof text - 1, NULL);

	ok(site->held && !httpd_answered(site->held) && strlen(reply) == 0, "a request waits for its answer");
	free(reply);
	httpd_answer(site->held, 200, NULL, NULL, "late", 4);
	httpd_answer(site->held, 500, NULL, NULL, "later", 5);
	reply = talk(site, fd, "", 0, NULL);
	ok(strncmp(reply, "HTTP/1.1 200", 12) == 0 && strstr(reply, "late"), "and gets the first one that is given");
	ok(site->gone == site->begun, "then it is gone");
	free(reply);
	close(fd);
}

static void files(struct site *site)
{
	expect(site, REQUEST("GET /file", ""), "200", "\r\n\r\n0123456789", "a file is sent");
	expect(site, REQUEST("GET /file", "Range: bytes=2-4\r\n"), "206", "\r\n\r\n234", "and a part of it");
	expect(site, REQUEST("GET /file", "Range: bytes=2-4\r\n"), "206", "bytes 2-4/10", "which says which part");
	expect(site, REQUEST("GET /file", "Range: bytes=8-\r\n"), "206", "\r\n\r\n89", "and its end");
	expect(site, REQUEST("GET /file", "Range: bytes=-3\r\n"), "206", "\r\n\r\n789", "and its last bytes");
	expect(site, REQUEST("GET /file", "Range: bytes=10-\r\n"), "416", "bytes */10", "what is past its end is 416");
	expect(site, REQUEST("GET /file", "Range: bytes=1-2,4-5\r\n"), "200", "0123456789", "of several ranges all is sent");
}

static void streams(struct site *site)
{
	static const char text[] = REQUEST("GET /stream", "");
	int fd = dial(site);
	char *reply;

	site->say = "first";
	reply = talk(site, fd, text, sizeof text - 1, "first");
	ok(strstr(reply, "first") != NULL, "a stream sends what there is");
	free(reply);
	site->say = "second";
	httpd_more(site->held);
	reply = talk(site, fd, "", 0, "second");
	ok(strstr(reply, "second") != NULL, "and what comes later");
	free(reply);
	site->said_all = true;
	httpd_more(site->held);
	reply = talk(site, fd, "", 0, NULL);
	is(reply, "0\r\n\r\n", "and its end");
	ok(site->gone == site->begun, "then it is gone");
	free(reply);
	close(fd);
}

static struct httpd *serve(struct site *site, int64_t deadline_ms, size_t unverified, unsigned connections)
{
	struct err err = {0};
	struct httpd_config config = {.listen = "127.0.0.1:0", .option = "hook.listen", .body_maximum = LIMIT,
		.unverified_maximum = unverified, .deadline_ms = deadline_ms, .connections = connections};
	struct httpd *httpd = httpd_daemon_new(site->loop, &config, &handler, site, &err);

	if (!httpd)
		ok(false, err.text);
	return httpd;
}

struct drip {
	struct loop *loop;
	int fd;
	int bytes;
	bool closed;
};

/* A byte now and then, which never lets the connection be idle. */
static void on_drip(void *cookie)
{
	struct drip *drip = cookie;
	char byte;

	if (send(drip->fd, "x", 1, MSG_NOSIGNAL) != 1 || recv(drip->fd, &byte, 1, 0) >= 0 || errno != EAGAIN) {
		drip->closed = true;
		loop_stop(drip->loop);
		return;
	}
	drip->bytes++;
	loop_after(drip->loop, 10, on_drip, drip);
}

static void slow(struct site *site, const char *begin, const char *what)
{
	struct drip drip = {.loop = site->loop, .fd = dial(site)};
	int64_t began = clock_monotonic_us();

	if (send(drip.fd, begin, strlen(begin), 0) != (ssize_t)strlen(begin))
		ok(false, "send");
	on_drip(&drip);
	run(site);
	ok(drip.closed && drip.bytes > 0 && clock_monotonic_us() - began < TAP_LIMIT_US, what);
	close(drip.fd);
}

/* Times that only bound: a slow machine makes them longer, never wrong. */
static void deadlines(struct site *site)
{
	static const char part[] = "POST /part HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab";
	static const char held[] = REQUEST("POST /hold", "Content-Length: 2\r\n") "ok";
	int64_t began = clock_monotonic_us();
	int fd;
	char *reply;

	site->httpd = serve(site, 100, 0, 0);
	reply = ask(site, "GET / HTTP/1.1\r\nHo");
	ok(strncmp(reply, "HTTP/1.1 408", 12) == 0, "headers that never end are 408");
	ok(clock_monotonic_us() - began >= 100000, "at the deadline");
	free(reply);
	expect(site, part, "408", "", "a body that never ends is 408");
	ok(site->gone == site->begun, "and that request is gone");
	reply = ask(site, "");
	is(reply, "", "a connection that says nothing is closed without a word");
	free(reply);
	slow(site, "GET / HTTP/1.1\r\nX-Slow: ", "headers that drip in are cut off at the deadline too");
	slow(site, "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", "so is a body");
	turn(site);
	ok(site->gone == site->begun, "whose request is gone");
	fd = dial(site);
	free(talk(site, fd, held, sizeof held - 1, NULL));
	reply = talk(site, fd, "", 0, NULL);
	ok(strncmp(reply, "HTTP/1.1 503", 12) == 0 && strstr(reply, "Retry-After"), "no answer in time is 503");
	free(reply);
	close(fd);
	httpd_daemon_free(site->httpd);
}

static void unverified(struct site *site)
{
	static const char first[] = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n0123456789";
	int fd;

	site->httpd = serve(site, 0, 15, 0);
	fd = dial(site);
	ok(send(fd, first, sizeof first - 1, 0) == sizeof first - 1, "ten unverified bytes");
	site->stop_at_body = true;
	run(site);
	site->stop_at_body = false;
	expect(site, REQUEST("POST /b", "Content-Length: 5\r\n") "01234", "202", "", "five more are within the cap");
	expect(site, REQUEST("POST /b", "Content-Length: 6\r\n") "012345", "503", "Retry-After", "six are too many");
	close(fd);
	site->stop_at_gone = true;
	run(site);
	site->stop_at_gone = false;
	ok(site->gone == site->begun, "a client that went away is gone");
	expect(site, REQUEST("POST /b", "Content-Length: 15\r\n") "012345678901234", "202", "", "and its bytes count no more");
	httpd_daemon_free(site->httpd);
}

static void limits(struct site *site)
{
	static const char text[] = REQUEST("GET /", ""), kept[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	int first, second;
	char *reply;

	site->httpd = serve(site, 0, 0, 1);
	first = dial(site);
	free(talk(site, first, kept, sizeof kept - 1, "taken"));
	second = dial(site);
	ok(send(second, text, sizeof text - 1, 0) == sizeof text - 1, "a second connection where one is allowed");
	turn(site);
	ok(recv(second, (char[1]){0}, 1, 0) < 0 && errno == EAGAIN, "waits");
	close(first);
	reply = talk(site, second, "", 0, NULL);
	ok(strncmp(reply, "HTTP/1.1 202", 12) == 0, "until the first is gone");
	free(reply);
	close(second);
	httpd_daemon_free(site->httpd);
}

/* Many who listen to streams and say nothing more: others find room all the same. */
static void crowd(struct site *site)
{
	static const char stream[] = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n";
	enum { ROOM = 16, STREAMS = ROOM / 2 };
	int fds[STREAMS + 1];
	char *reply;

	site->httpd = serve(site, 0, 0, ROOM);
	site->said_all = false;
	for (int i = 0; i <= STREAMS; i++) {
		site->say = "hello";
		fds[i] = dial(site);
		free(talk(site, fds[i], stream, sizeof stream - 1, "hello"));
		if (i == STREAMS - 1) {
			site->say = "again";
			httpd_more(site->held);
			free(talk(site, fds[i], "", 0, "again"));
		}
	}
	reply = talk(site, fds[0], "", 0, "0\r\n\r\n");
	is(reply, "0\r\n\r\n", "of more streams than half the connections, the one that is silent longest ends, and ends well");
	free(reply);
	ok(site->gone == site->begun - STREAMS, "the others go on");
	expect(site, REQUEST("GET /", ""), "202", "taken", "and others are served");
	for (int i = 0; i <= STREAMS; i++)
		close(fds[i]);
	httpd_daemon_free(site->httpd);
	ok(site->gone == site->begun, "all are gone at the end");
}

/* An answer that takes long. */
static void waiting(struct site *site)
{
	static const char held[] = REQUEST("GET /hold", "");
	int fd;
	clock_t began = clock();
	char *reply;

	site->httpd = serve(site, 0, 0, 0);
	fd = dial(site);
	free(talk(site, fd, held, sizeof held - 1, NULL));
	loop_after(site->loop, 500, stop, site->loop);
	run(site);
	ok(clock() - began < CLOCKS_PER_SEC / 4, "a request that waits for half a second takes no processor time");
	httpd_answer(site->held, 200, NULL, NULL, "at last", 7);
	reply = talk(site, fd, "", 0, NULL);
	ok(strstr(reply, "at last") != NULL, "and is answered then");
	free(reply);
	close(fd);
	httpd_daemon_free(site->httpd);
}

static void ending(struct site *site)
{
	static const char held[] = REQUEST("GET /hold", "");
	struct err err = {0};
	struct httpd_config config = {.listen = "127.0.0.1:0", .option = "hook.listen"};
	char taken[32], piece[200] = "";
	int fd;

	site->httpd = serve(site, 0, 0, 0);
	snprintf(taken, sizeof taken, "127.0.0.1:%u", httpd_daemon_port(site->httpd));
	config.listen = taken;
	ok(!httpd_daemon_new(site->loop, &config, &handler, site, &err) && err.kind == ERR_BUSY, "an address that is taken");
	ok(strstr(err.text, "hook.listen") && strstr(err.text, taken), "is named with its option");
	config.listen = "somewhere";
	ok(!httpd_daemon_new(site->loop, &config, &handler, site, &err) && err.kind == ERR_CONFIG, "what is no address is refused");
	fd = dial(site);
	free(talk(site, fd, held, sizeof held - 1, NULL));
	httpd_daemon_free(site->httpd);
	fcntl(fd, F_SETFL, 0);
	ok(recv(fd, piece, sizeof piece - 1, 0) > 0 && strncmp(piece, "HTTP/1.1 503", 12) == 0,
		"a request that waits at the end gets 503");
	ok(site->gone == site->begun, "and is gone");
	close(fd);
	fd = -1;
	site->httpd = serve(site, 0, 0, 0);
	site->say = "x";
	site->said_all = false;
	fd = dial(site);
	free(talk(site, fd, REQUEST("GET /stream", ""), sizeof(REQUEST("GET /stream", "")) - 1, "x"));
	httpd_daemon_free(site->httpd);
	ok(site->gone == site->begun, "a stream that goes on at the end is gone");
	close(fd);
	httpd_daemon_free(NULL);
}

int main(void)
{
	struct site site = {0};
	struct err err = {0};

	ok(loop_new(&site.loop, &err) == 0, "a loop");
	site.httpd = serve(&site, 0, 0, 0);
	simple(&site);
	wrong(&site);
	large(&site);
	keep_alive(&site);
	later(&site);
	files(&site);
	streams(&site);
	httpd_daemon_free(site.httpd);
	deadlines(&site);
	unverified(&site);
	limits(&site);
	crowd(&site);
	waiting(&site);
	ending(&site);
	loop_free(site.loop);
	return tap_done();
}
