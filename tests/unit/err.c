#include "base/err.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/tap.h"

static void test_set(void)
{
	struct err err;

	err_clear(&err);
	ok(err.kind == ERR_NONE && !err.number && !*err.text, "clear makes it empty");
	ok(err_set(&err, ERR_INPUT, "line %d", 3) == -1, "set returns -1");
	is(err.text, "line 3", "its text");
	ok(err.kind == ERR_INPUT && err.number == 0, "its kind");
	ok(err_wrap(&err, "file %s", "x") == -1, "wrap returns -1");
	is(err.text, "file x: line 3", "wrap puts text before");
	ok(err.kind == ERR_INPUT, "wrap keeps the kind");
	ok(err_set(&err, ERR_REFUSED, "again %s", err.text) == -1, "its own text may be an argument");
	is(err.text, "again file x: line 3", "… and is used");
	ok(err_set_errno(&err, ENOENT, "%s", "/nowhere") == -1, "set_errno returns -1");
	is(err.text, "/nowhere: No such file or directory", "it adds the words");
	ok(err.kind == ERR_SYSTEM && err.number == ENOENT, "kind and number");
	err_set_errno(&err, ENOSPC, "x");
	ok(err.kind == ERR_FULL, "no space is ERR_FULL");
	err_set_errno(&err, EDQUOT, "x");
	ok(err.kind == ERR_FULL, "no quota is ERR_FULL");
}

static void test_long(void)
{
	struct err err;

	err_set(&err, ERR_INPUT, "%0*d", 5000, 7);
	ok(strlen(err.text) == sizeof err.text - 1, "a long text is cut");
	err_wrap(&err, "head");
	ok(strncmp(err.text, "head: 000", 9) == 0 && strlen(err.text) == sizeof err.text - 1, "wrapping one keeps the head");
	err_set_errno(&err, EIO, "%0*d", 5000, 7);
	ok(strlen(err.text) == sizeof err.text - 1, "so is one with an errno");
	for (int i = 0; i < 1000; i++)
		err_wrap(&err, "%d", i);
	ok(strncmp(err.text, "999: 998: ", 10) == 0, "a thousand wraps stay inside");
}

static void test_fatal(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		close(2);
		err_fatal("the end of %s", "this");
	}
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "fatal aborts");
}

static void test_clock(void)
{
	char iso[CLOCK_ISO_SIZE];
	int64_t before = clock_monotonic_us();

	is(clock_iso(0, iso), "1970-01-01T00:00:00.000Z", "the epoch");
	is(clock_iso(1795231800123, iso), "2026-11-21T03:30:00.123Z", "a day");
	is(clock_iso(-5, iso), "1970-01-01T00:00:00.000Z", "before the epoch");
	is(clock_iso(INT64_MAX, iso), "9999-12-31T23:59:59.999Z", "after the last year");
	ok(clock_wall_ms() > 1700000000000, "the wall clock is in ms");
	ok(clock_monotonic_us() >= before, "the monotonic clock does not go back");
}

int main(void)
{
	test_set();
	test_long();
	test_fatal();
	test_clock();
	return tap_done();
}
