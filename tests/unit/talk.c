#include "slaves/common/talk.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sock.h"
#include "tests/tap.h"
#include "tests/tmp.h"

#define RETURN_MS 1500

static struct arena *arena;

static void wait_ms(int64_t ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&pause, NULL);
}

/* One connection of the daemon's: what it was asked is read, and `ms` later it answers with `text` and ends. */
static void serve_one(int listener, int64_t ms, const char *text)
{
	char asked[4096];
	int fd = accept(listener, NULL, NULL);

	if (fd < 0 || recv(fd, asked, sizeof asked, 0) <= 0)
		_exit(1);
	wait_ms(ms);
	if (*text && send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		_exit(1);
	close(fd);
}

/* What daemons do one after the other at the same socket. */
struct turn {
	int64_t ms;
	const char *text;
};

/* Follows a build whose daemons do so: 1, or -1 and err. */
static int follow(const struct turn *turns, struct talk_following *following, struct err *err)
{
	const char *path = tmp_path("socket");
	int listener = sock_listen(path, SOCK_STREAM, err);
	pid_t pid = listener < 0 ? -1 : fork();

	if (pid == 0) {
		fcntl(listener, F_SETFL, 0);
		for (; turns->text; turns++)
			serve_one(listener, turns->ms, turns->text);
		_exit(0);
	}
	if (pid < 0)
		printf("Bail out! no daemon: %s\n", err->text), exit(1);
	close(listener);
	*following = (struct talk_following){.socket = path, .build = "b", .arena = arena, .return_ms = RETURN_MS};
	int done = talk_follow(following, err);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
	return done;
}

#define RESULT "{\"result\":\"signed\",\"outcome\":\"success\"}\n"

static void test_restart(void)
{
	static const struct turn silent[] = {{2 * RETURN_MS, ""}, {0, RESULT}, {0, NULL}};
	static const struct turn twice[] = {{0, "{\"log\":\"# a line\\n\",\"offset\":9}\n"}, {2 * RETURN_MS, ""}, {0, RESULT}, {0, NULL}};
	struct talk_following following;
	struct err err = {0};

	ok(follow(silent, &following, &err) == 1, "a daemon that restarts in the middle of a silent build is found again");
	is(following.line, "signed", "  and the result comes");
	ok(follow(twice, &following, &err) == 1, "one that restarts twice, too");
	is(following.line, "signed", "  and the result comes");
}

static void test_gone(void)
{
	static const struct turn gone[] = {{0, ""}, {0, NULL}};
	struct talk_following following;
	struct err err = {0};
	int64_t began = clock_monotonic_us();

	ok(follow(gone, &following, &err) == -1 && strstr(err.text, "went away"), "one that does not come back is given up");
	ok(clock_monotonic_us() - began >= RETURN_MS * 1000LL, "  but not before its time");
}

/* Ends each connection at once, for ever. */
static void test_no_use(void)
{
	enum { MANY = 1000 };
	static struct turn closing[MANY + 1];
	struct talk_following following;
	struct err err = {0};

	for (size_t i = 0; i < MANY; i++)
		closing[i].text = "";
	ok(follow(closing, &following, &err) == -1 && strstr(err.text, "went away"), "so is one that only takes connections and ends them");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	tmp_make();
	arena = arena_new();
	test_restart();
	test_gone();
	test_no_use();
	arena_free(arena);
	return tap_done();
}
