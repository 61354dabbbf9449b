#include "loop/http.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop/httpd.h"
#include "loop/listen.h"
#include "tests/tap.h"

struct world {
	struct loop *loop;
	struct httpd *httpd;
	struct http *http;
	struct http_call *call;
	struct arena *arena;
	char seen[200]; /* by the server: method, path, header, body */
	int calls, answers;
	unsigned status;
	char body[100], own[100];
	size_t length;
	enum err_kind kind;
	char why[300];
};

static void on_end(void *cookie, struct httpd_request *request)
{
	struct world *world = cookie;
	struct err err = {0};
	size_t length;
	const char *body = httpd_body(request, &length, &err);
	static char large[100000];
	const struct httpd_field elsewhere[] = {{"Location", "/other"}, {"X-Own", "  spaced "}, {NULL, NULL}};

	world->calls++;
	snprintf(world->seen, sizeof world->seen, "%.8s %.50s %.50s %.*s", httpd_method(request), httpd_path(request),
		httpd_header(request, "X-Own") ? httpd_header(request, "X-Own") : "-", length < 50 ? (int)length : 50, body);
	if (strcmp(httpd_path(request), "/hold") == 0)
		return;
	if (strcmp(httpd_path(request), "/large") == 0)
		httpd_answer(request, 200, "text/plain", NULL, large, sizeof large);
	else if (strcmp(httpd_path(request), "/moved") == 0)
		httpd_answer(request, 302, NULL, elsewhere, "", 0);
	else
		httpd_answer(request, 201, "text/plain", NULL, "made", 4);
}

static void on_reply(void *cookie, const struct http_reply *reply, const struct err *err)
{
	struct world *world = cookie;
	const char *own = reply ? http_header(reply, world->arena, "x-OWN") : NULL;

	world->answers++;
	world->call = NULL;
	world->status = reply ? reply->status : 0;
	world->length = reply ? reply->length : 0;
	snprintf(world->body, sizeof world->body, "%.99s", reply ? reply->body : "");
	snprintf(world->own, sizeof world->own, "%.99s", own ? own : "(none)");
	world->kind = err->kind;
	snprintf(world->why, sizeof world->why, "%.299s", err->text);
	loop_stop(world->loop);
}

static void run(struct world *world)
{
	struct err err = {0};

	if (loop_run(world->loop, &err) < 0)
		ok(false, err.text);
}

static const char *url(const struct world *world, const char *path)
{
	static char text[200];

	snprintf(text, sizeof text, "http://127.0.0.1:%u%s", httpd_daemon_port(world->httpd), path);
	return text;
}

static void fetch(struct world *world, const struct http_request *request)
{
	struct err err = {0};

	world->call = http_request(world->http, request, on_reply, world, &err);
	if (ok(world->call != NULL, "a request is started"))
		run(world);
	else
		printf("# %s\n", err.text);
}

static void replies(struct world *world)
{
	const char *headers[] = {"X-Own: yes", "Content-Type: application/json", NULL};

	fetch(world, &(struct http_request){.url = url(world, "/a?b=c")});
	ok(world->status == 201 && strcmp(world->body, "made") == 0 && world->length == 4, "its reply comes");
	is(world->seen, "GET /a - ", "as it was asked");
	fetch(world, &(struct http_request){.url = url(world, "/p"), .headers = headers, .body = "{\"a\":1}", .length = 7});
	is(world->seen, "POST /p yes {\"a\":1}", "a body makes it a POST; headers are sent");
	fetch(world, &(struct http_request){.method = "PUT", .url = url(world, "/p"), .body = "", .length = 0});
	is(world->seen, "PUT /p - ", "a method of one's own, with an empty body");
	fetch(world, &(struct http_request){.method = "HEAD", .url = url(world, "/p")});
	ok(world->status == 201 && world->length == 0, "HEAD has no body");
	fetch(world, &(struct http_request){.url = url(world, "/moved")});
	ok(world->status == 302 && strcmp(world->own, "spaced") == 0,
		"a redirect is not followed, and headers are found in any case");
}

static void no_proxy(struct world *world)
{
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	fetch(world, &(struct http_request){.url = url(world, "/a")});
	ok(world->status == 201, "a proxy in the environment is not used");
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
}

static void failures(struct world *world)
{
	struct err err = {0};
	int closed = listen_tcp("127.0.0.1:0", "x", &err);
	char text[64];

	fetch(world, &(struct http_request){.url = url(world, "/large"), .maximum = 50000});
	ok(!world->status && world->kind == ERR_FULL, "a reply over the maximum is an error");
	fetch(world, &(struct http_request){.url = url(world, "/large"), .maximum = 100000});
	ok(world->length == 100000, "one of just the maximum is none");
	fetch(world, &(struct http_request){.url = url(world, "/hold?token=secret"), .limit_ms = 50});
	ok(world->kind == ERR_TIMEOUT, "no reply in time is an error");
	ok(strstr(world->why, "GET http://127.0.0.1") && !strstr(world->why, "secret"), "that names the URL without its query");
	snprintf(text, sizeof text, "http://127.0.0.1:%u/", listen_port(closed));
	close(closed);
	fetch(world, &(struct http_request){.url = text});
	ok(world->kind == ERR_NETWORK, "nobody there is an error");
}

static void refused(struct world *world)
{
	static const char *const urls[] = {"file:///etc/passwd", "gopher://127.0.0.1/", "http://me:secret@127.0.0.1/",
		"http://me@127.0.0.1/", "127.0.0.1", "", "http://", "http://a b/"};
	const char *headers[] = {"X-Own: yes\r\nX-Other: no", NULL};
	struct err err;

	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		struct http_request request = {.url = urls[i]};

		err_clear(&err);
		ok(!http_request(world->http, &request, on_reply, world, &err) && err.kind == ERR_USAGE && !strstr(err.text, "secret"),
			urls[i]);
	}
	ok(!http_request(world->http, &(struct http_request){.url = url(world, "/"), .headers = headers}, on_reply, world, &err),
		"a header of two lines is refused");
	ok(!http_request(world->http, &(struct http_request){.url = url(world, "/"), .method = "GET /x"}, on_reply, world, &err),
		"so is a method that is none");
}

static void stop(void *cookie)
{
	loop_stop(cookie);
}

static void cancelling(struct world *world)
{
	struct err err = {0};
	struct http_request request = {.url = url(world, "/hold")};

	world->answers = 0;
	world->call = http_request(world->http, &request, on_reply, world, &err);
	loop_after(world->loop, 30, stop, world->loop);
	run(world);
	http_cancel(world->call);
	http_cancel(NULL);
	loop_after(world->loop, 30, stop, world->loop);
	run(world);
	ok(world->answers == 0, "a cancelled request calls no more");
	world->call = http_request(world->http, &request, on_reply, world, &err);
}

/* A server of one connection, of its own: what it says is not HTTP, or comes through a Unix socket. */
struct crude {
	struct loop *loop;
	struct loop_source *peer;
	int fd;
	const char *says;
};

static void on_crude_request(void *cookie, int fd, uint32_t events)
{
	struct crude *crude = cookie;
	char request[1000];

	(void)events;
	if (recv(fd, request, sizeof request, 0) <= 0 || send(fd, crude->says, strlen(crude->says), MSG_NOSIGNAL) < 0)
		ok(false, strerror(errno));
	loop_cancel(crude->peer);
	close(fd);
}

static void on_crude(void *cookie, int fd, uint32_t events)
{
	struct crude *crude = cookie;

	(void)events;
	crude->peer = loop_io(crude->loop, accept(fd, NULL, NULL), EPOLLIN, on_crude_request, crude);
}

static void crude(struct world *world)
{
	struct err err = {0};
	struct crude server = {.loop = world->loop, .fd = listen_tcp("127.0.0.1:0", "x", &err), .says = "hello\n"};
	struct loop_source *source = loop_io(world->loop, server.fd, EPOLLIN, on_crude, &server);
	char text[64];

	snprintf(text, sizeof text, "http://127.0.0.1:%u/", listen_port(server.fd));
	fetch(world, &(struct http_request){.url = text});
	ok(!world->status && world->kind == ERR_INPUT, "what is not HTTP is an error");
	server.says = "HTTP/1.1 100 Continue\r\nX-Own: no\r\n\r\nHTTP/1.1 200 OK\r\nX-Own: last\r\nContent-Length: 2\r\n\r\nok";
	fetch(world, &(struct http_request){.url = text});
	ok(world->status == 200 && strcmp(world->own, "last") == 0, "headers are those of the last reply");
	server.says = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\ncut";
	fetch(world, &(struct http_request){.url = text});
	ok(!world->status && world->kind == ERR_NETWORK, "half a reply is none");
	loop_cancel(source);
	close(server.fd);
}

static void unix_socket(struct world *world)
{
	char folder[] = "/tmp/byoci-http-XXXXXX";
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct crude server = {.loop = world->loop, .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
		.says = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};
	struct loop_source *source;

	ok(mkdtemp(folder) != NULL, "a folder");
	snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", folder);
	ok(bind(server.fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(server.fd, 1) == 0, "a Unix socket");
	source = loop_io(world->loop, server.fd, EPOLLIN, on_crude, &server);
	fetch(world, &(struct http_request){.url = "http://somewhere/1.0", .unix_socket = address.sun_path});
	ok(world->status == 200 && strcmp(world->body, "ok") == 0, "a request by way of it");
	loop_cancel(source);
	close(server.fd);
	unlink(address.sun_path);
	rmdir(folder);
}

static void once(struct world *world)
{
	struct err err = {0};
	struct http_reply reply;

	ok(http_once(&(struct http_request){.url = "http://127.0.0.1:1/"}, world->arena, &reply, &err) < 0 && err.kind == ERR_NETWORK,
		"the blocking call says so when nobody is there");
	ok(http_once(&(struct http_request){.url = "ftp://127.0.0.1/"}, world->arena, &reply, &err) < 0 && err.kind == ERR_USAGE,
		"and refuses what the other one refuses");
}

int main(void)
{
	struct world world = {.arena = arena_new()};
	struct err err = {0};
	struct httpd_config config = {.listen = "127.0.0.1:0", .option = "x", .body_maximum = 1000};
	struct httpd_handler handler = {.end = on_end};

	ok(loop_new(&world.loop, &err) == 0, "a loop");
	world.httpd = httpd_daemon_new(world.loop, &config, &handler, &world, &err);
	world.http = http_new(world.loop, &err);
	ok(world.httpd && world.http, "a server and a client");
	replies(&world);
	no_proxy(&world);
	failures(&world);
	refused(&world);
	cancelling(&world);
	crude(&world);
	unix_socket(&world);
	once(&world);
	http_free(world.http);
	httpd_daemon_free(world.httpd);
	loop_free(world.loop);
	arena_free(world.arena);
	return tap_done();
}
