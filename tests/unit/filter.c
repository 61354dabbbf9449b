#include "slaves/worker/filter.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/tap.h"

static const char *through(const struct mask *mask, const char *text, size_t times)
{
	static char got[4096];
	int ends[2], from, pidfd;
	struct err err = {0};
	size_t length = 0;
	ssize_t part;

	if (pipe2(ends, O_CLOEXEC) < 0)
		exit(1);
	pidfd = filter_start(mask, ends[1], &from, &err);
	close(ends[1]);
	if (pidfd < 0)
		return err.text[0] ? "failed" : "";
	while (times--)
		if (write(from, text, strlen(text)) < 0)
			return "closed";
	close(from);
	while (length < sizeof got - 1 && (part = read(ends[0], got + length, sizeof got - 1 - length)) > 0)
		length += (size_t)part;
	got[length] = '\0';
	filter_end(pidfd, TAP_LIMIT_MS);
	close(ends[0]);
	return got;
}

int main(void)
{
	struct arena *arena = arena_new();
	struct mask *mask = mask_new(arena);
	int ends[2], from, pidfd;
	struct err err = {0};

	signal(SIGPIPE, SIG_IGN);
	mask_add(mask, "hunter2", 7);
	is(through(mask, "say hunter2 and hunt", 1), "say ******* and hunt", "what goes through is masked, to its end");
	is(through(mask, "hunter2\n", 3), "*******\n*******\n*******\n", "however it comes");
	is(through(mask, "", 1), "", "nothing is nothing");

	/* Nobody reads: it is killed when its time is over. */
	if (pipe2(ends, O_CLOEXEC) < 0)
		return 1;
	pidfd = filter_start(mask, ends[1], &from, &err);
	fcntl(from, F_SETFL, O_NONBLOCK);
	for (char bytes[4096] = ""; write(from, bytes, sizeof bytes) > 0;)
		;
	filter_end(pidfd, 50);
	ok(write(from, "x", 1) < 0, "one that nobody reads from does not stay");
	filter_end(-1, 50);
	arena_free(arena);
	return tap_done();
}
