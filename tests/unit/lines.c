#include "loop/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sock.h"
#include "tests/tap.h"

static char path[128];

/* The server: answers {"n":N} with {"n":N+1}; {"flood":N} with N large lines; {"close":…} with a line and the end. */
struct server {
	struct loop *loop;
	struct lines_server *serve;
	struct lines *flooded;
	int connections, ended, refuse, left, held, await;
	int64_t sent;
	enum err_kind how;
	char why[200];
};

static json_t *large(void)
{
	static char text[100000];

	memset(text, 'x', sizeof text - 1);
	return json_pack("{s:s}", "large", text);
}

static void flood(void *cookie)
{
	struct server *server = cookie;

	while (server->left > 0 && !lines_full(server->flooded)) {
		server->left--;
		server->sent++;
		lines_send(server->flooded, large());
	}
	if (!server->left)
		return;
	server->held++;
	lines_on_drain(server->flooded, flood, server);
}

static void on_request(void *cookie, struct lines *lines, const json_t *message, const struct err *err)
{
	struct server *server = cookie;

	if (!message) {
		server->ended++;
		server->how = err->kind;
		snprintf(server->why, sizeof server->why, "%.199s", err->text);
		if (server->how != ERR_NONE || server->await)
			loop_stop(server->loop);
		return;
	}
	if (json_object_get(message, "n"))
		lines_send(lines, json_pack("{s:I}", "n", json_integer_value(json_object_get(message, "n")) + 1));
	if (json_object_get(message, "close")) {
		lines_send(lines, json_pack("{s:s}", "bye", "now"));
		lines_close(lines);
	}
	if (json_object_get(message, "flood")) {
		server->flooded = lines;
		server->left = (int)json_integer_value(json_object_get(message, "flood"));
		flood(server);
	}
	if (json_object_get(message, "file")) {
		server->sent = lines_send_descriptor(lines, json_pack("{s:s}", "file", "yes"), STDIN_FILENO);
		loop_stop(server->loop);
	}
	if (json_object_get(message, "overrun"))
		while (lines_send(lines, large()) == 0)
			server->sent++;
}

static void *on_accept(void *cookie, struct lines *lines, uid_t uid, pid_t pid)
{
	struct server *server = cookie;

	(void)lines;
	server->connections++;
	return server->refuse || uid != getuid() || pid != getpid() ? NULL : server;
}

/* The client: what came, and the loop stops after `wanted` messages or the end. */
struct client {
	struct loop *loop;
	struct lines *lines;
	int count, wanted, ended;
	int64_t n;
	char error[100];
};

static void on_answer(void *cookie, struct lines *lines, const json_t *message, const struct err *err)
{
	struct client *client = cookie;

	(void)err;
	if (!message) {
		client->ended++;
		client->lines = NULL;
		loop_stop(client->loop);
		return;
	}
	client->count++;
	client->n = json_integer_value(json_object_get(message, "n"));
	snprintf(client->error, sizeof client->error, "%.99s",
		json_object_get(message, "error") ? json_string_value(json_object_get(message, "error")) : "");
	if (client->count == client->wanted)
		loop_stop(client->loop);
	else if (client->n)
		lines_send(lines, json_pack("{s:I}", "n", client->n));
}

static void run(struct loop *loop)
{
	struct err err = {0};

	if (loop_run(loop, &err) < 0)
		ok(false, err.text);
}

static struct client *connect_to(struct client *client, int wanted, json_t *first)
{
	struct err err = {0};
	struct loop *loop = client->loop;

	*client = (struct client){.loop = loop, .wanted = wanted};
	client->lines = lines_connect(loop, path, on_answer, client, &err);
	if (ok(client->lines != NULL, "a client connects"))
		lines_send(client->lines, first);
	return client;
}

static void talk(struct server *server, struct client *client)
{
	connect_to(client, 50, json_pack("{s:i}", "n", 0));
	run(client->loop);
	ok(client->n == 50, "fifty questions get their answers");
	lines_close(client->lines);
	server->await = 1;
	run(client->loop);
	server->await = 0;
	connect_to(client, 2, json_pack("{s:i}", "close", 1));
	run(client->loop);
	ok(client->count == 1 && client->ended == 1, "a line that was sent before the close comes, then the end");
	ok(server->ended == 1 && server->how == ERR_NONE, "a client that went away is told to the server, its own close is not");
}

static void refuse(struct server *server, struct client *client)
{
	server->refuse = 1;
	connect_to(client, 5, json_pack("{s:i}", "n", 0));
	run(client->loop);
	server->refuse = 0;
	is(client->error, "you may not use this socket", "one who may not gets the reason");
	ok(client->ended == 1, "and the end");
}

/* 40 MB to a client that reads them on the same loop: never more than the backlog is queued. */
static void back_pressure(struct server *server, struct client *client)
{
	server->held = 0;
	connect_to(client, 400, json_pack("{s:i}", "flood", 400));
	run(client->loop);
	ok(client->count == 400, "four hundred large lines arrive");
	ok(server->held > 0, "and the server was told to wait in between");
	lines_close(client->lines);
}

static void overrun(struct server *server)
{
	struct err err = {0};
	int fd = lines_call_open(path, &err);
	json_t *request = json_pack("{s:i}", "overrun", 1);

	server->sent = 0;
	ok(fd >= 0 && lines_call_send(fd, request, &err) == 0, "a client that never reads");
	json_decref(request);
	run(server->loop);
	ok(server->how == ERR_FULL, "is dropped when its backlog is full");
	ok(server->sent >= 40 && server->sent < 50, "after what the backlog holds");
	close(fd);
}

static void stop(void *loop)
{
	loop_stop(loop);
}

/* Sends the bytes; the server must end that connection for them. */
static void hostile(struct server *server, const char *bytes, size_t length, const char *why, const char *what)
{
	struct err err = {0};
	int fd = sock_connect(path, SOCK_STREAM | SOCK_NONBLOCK, &err);

	server->how = ERR_NONE;
	for (size_t put = 0; fd >= 0 && put < length && server->how == ERR_NONE;) {
		ssize_t sent = send(fd, bytes + put, length - put, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent > 0)
			put += (size_t)sent;
		if (sent < 0 && errno != EAGAIN)
			break;
		if (put < length) {
			loop_after(server->loop, 1, stop, server->loop);
			run(server->loop);
		}
	}
	shutdown(fd, SHUT_WR);
	if (server->how == ERR_NONE)
		run(server->loop);
	ok(server->how == ERR_INPUT && strstr(server->why, why), what);
	close(fd);
}

static void hostiles(struct server *server)
{
	size_t length = LINES_MAXIMUM + 10;
	char *text = malloc(length);

	hostile(server, "hello\n", 6, "not JSON", "a line that is not JSON ends the connection");
	hostile(server, "\n", 1, "not JSON", "so does an empty one");
	hostile(server, "{\"a\":1", 6, "middle of a line", "so does an end in the middle of a line");
	hostile(server, "{\"a\":\"\\u0000\"}\n", 15, "JSON", "so does a NUL in a string");
	memset(text, 'x', length);
	hostile(server, text, length, "more than", "so does a line over the maximum");
	memset(text, '[', length);
	text[length - 20] = '\n';
	hostile(server, text, length, "JSON", "so does deep nesting");
	free(text);
}

static void blocking(void)
{
	struct err err = {0};
	int ends[2];
	struct lines_reader *reader;
	json_t *message;

	ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "a pair of sockets");
	reader = lines_reader_new(ends[0]);
	ok(!lines_reader_next(reader, 10, &err) && err.kind == ERR_TIMEOUT, "a blocking reader gives up after its limit");
	ok(send(ends[1], "{\"a\":1}\n{\"a\":2}\n{\"a\"", 20, 0) == 20, "two and a half lines");
	for (int i = 1; i <= 2; i++) {
		message = lines_reader_next(reader, 1000, &err);
		ok(json_integer_value(json_object_get(message, "a")) == i, "a line at a time");
		json_decref(message);
	}
	shutdown(ends[1], SHUT_WR);
	ok(!lines_reader_next(reader, 1000, &err) && err.kind == ERR_INPUT, "half a line at the end is an error");
	lines_reader_free(reader);
	close(ends[0]);
	close(ends[1]);
	ok(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "a pair of sockets");
	reader = lines_reader_new(ends[0]);
	close(ends[1]);
	ok(!lines_reader_next(reader, 1000, &err) && err.kind == ERR_NONE, "a clean end is none");
	lines_reader_free(reader);
	close(ends[0]);
}

static void descriptor(struct server *server)
{
	static const char question[] = "{\"file\":1}\n", answer[] = "{\"file\":\"yes\"}\n";
	int descriptors[SOCK_DESCRIPTORS], client;
	struct stat there, ours;
	size_t count = 0;
	struct err err = {0};
	char text[100];

	client = sock_connect(path, SOCK_STREAM, &err);
	ok(client >= 0 && sock_send(client, question, strlen(question), NULL, 0, &err) == 0, "who asks for a file");
	run(server->loop);
	ok(server->sent == 0 && sock_receive(client, text, sizeof text, descriptors, &count, &err) == (ssize_t)strlen(answer) &&
			memcmp(text, answer, strlen(answer)) == 0, "gets a line");
	ok(count == 1 && fstat(descriptors[0], &there) == 0 && fstat(STDIN_FILENO, &ours) == 0 && there.st_ino == ours.st_ino,
		"and with it the file");
	if (count == 1)
		close(descriptors[0]);
	server->await = 1;
	close(client);
	run(server->loop);
	server->await = 0;
}

int main(void)
{
	char folder[] = "/tmp/byoci-lines-XXXXXX";
	struct server server = {0};
	struct client client = {0};
	struct err err = {0};

	ok(mkdtemp(folder) != NULL && loop_new(&server.loop, &err) == 0, "a folder and a loop");
	snprintf(path, sizeof path, "%s/socket", folder);
	client.loop = server.loop;
	ok(!lines_connect(server.loop, path, on_answer, &client, &err) && err.kind == ERR_NETWORK, "nobody listens yet");
	server.serve = lines_serve(server.loop, path, on_accept, on_request, &server, &err);
	ok(server.serve != NULL, "a server");
	talk(&server, &client);
	refuse(&server, &client);
	back_pressure(&server, &client);
	overrun(&server);
	hostiles(&server);
	descriptor(&server);
	ok(!lines_serve(server.loop, path, on_accept, on_request, &server, &err) && err.kind == ERR_BUSY, "a second one is refused");
	blocking();
	connect_to(&client, 1, json_pack("{s:i}", "n", 1));
	run(server.loop);
	server.ended = 0;
	lines_server_free(server.serve);
	ok(server.ended >= 1, "connections that are open when the server goes are told so");
	run(server.loop);
	ok(client.ended == 1, "and so is the client");
	loop_free(server.loop);
	unlink(path);
	rmdir(folder);
	return tap_done();
}
