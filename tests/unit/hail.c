#include "slaves/common/hail.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/tap.h"

static void test_answers(void)
{
	static const struct {
		const char *what, *text;
		int status;
		int64_t date;
	} rows[] = {
		{"an answer", "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n", 200, 784111777},
		{"another one, in small letters", "HTTP/1.0 503 No\r\nServer: x\r\ndate:\tSun, 06 Nov 1994 08:49:37 GMT\r\n\r\nbody", 503, 784111777},
		{"a date in the body", "HTTP/1.1 200 OK\r\n\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200, 0},
		{"a date that is none", "HTTP/1.1 200 OK\r\nDate: yesterday\r\n\r\n", 200, 0},
		{"another field's date", "HTTP/1.1 200 OK\r\nX-Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n", 200, 0},
		{"no end of the line", "HTTP/1.1 200", 200, 0},
		{"a status that is cut off", "HTTP/1.1 20", 0, 0},
		{"a status that is no number", "HTTP/1.1 2x0 OK\r\n\r\n", 0, 0},
		{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", 0, 0},
		{"a version that is none of ours", "HTTP/2.0 200 OK\r\n", 0, 0},
		{"nothing", "", 0, 0},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int64_t date = -1;
		int status = hail_read(rows[i].text, &date);

		ok(status == rows[i].status && date == rows[i].date, rows[i].what);
	}
}

static void test_addresses(struct arena *arena)
{
	static const struct {
		const char *url, *address;
	} rows[] = {{"http://127.0.0.1:8811", "127.0.0.1:8811"}, {"http://ci.example.org/jenkins/", "ci.example.org"},
		{"http://[::1]:80?x", "[::1]:80"}, {"https://ci.example.org/", NULL}, {"http:///x", NULL}, {"http://user@host/", NULL},
		{"file:///etc/passwd", NULL}, {"", NULL}};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *address = hail_address(arena, rows[i].url);

		ok(rows[i].address ? address && strcmp(address, rows[i].address) == 0 : !address, rows[i].url);
	}
}

/* A server that says one byte in each tenth of a second and never comes to an end. */
static void drip(int listener)
{
	const struct timespec pause = {.tv_nsec = 100 * 1000000L};
	int fd = accept(listener, NULL, NULL);

	while (send(fd, "x", 1, MSG_NOSIGNAL) == 1)
		nanosleep(&pause, NULL);
	_exit(0);
}

static void test_slow(struct arena *arena)
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof here;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0 || bind(listener, (struct sockaddr *)&here, length) < 0 || listen(listener, 1) < 0 ||
		getsockname(listener, (struct sockaddr *)&here, &length) < 0)
		printf("Bail out! no server\n"), exit(1);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(20);
		drip(listener);
	}
	close(listener);
	struct hail hail = {.address = arena_printf(arena, "127.0.0.1:%d", ntohs(here.sin_port)), .path = "/"};
	int64_t began = clock_monotonic_us();
	ok(hail_ask(&hail, arena) == 0, "a server that never comes to the end of its answer has none");
	ok(clock_monotonic_us() - began < 12 * 1000000LL, "and is not listened to for long");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	struct arena *arena = arena_new();

	test_answers();
	test_addresses(arena);
	test_slow(arena);
	arena_free(arena);
	return tap_done();
}
