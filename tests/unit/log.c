#include "base/log.h"

#include <errno.h>

#include "tests/tap.h"
#include "tests/tmp.h"

static int saved_stderr;

/* Standard error goes to a file until `taken`. */
static void begin(void)
{
	int fd = open(tmp_path("log"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	saved_stderr = fcntl(2, F_DUPFD_CLOEXEC, 3);
	dup2(fd, 2);
	close(fd);
}

/* What was written, without time. */
static const char *taken(void)
{
	static char text[20000];
	ssize_t length;
	char *time;

	lseek(2, 0, SEEK_SET);
	length = read(2, text, sizeof text - 1);
	text[length > 0 ? length : 0] = '\0';
	dup2(saved_stderr, 2);
	close(saved_stderr);
	time = strstr(text, " time=20");
	if (time && strlen(time) == strlen(" time=2026-11-21T03:30:00.123Z\n"))
		memcpy(time, "\n", 2);
	return text;
}

static void test_lines(void)
{
	struct err err;

	err_set(&err, ERR_INPUT, "bad \"thing\"");
	begin();
	log_info(LOG_WHAT("build started"), LOG_TEXT("build", "abc-1"), LOG_NUMBER("number", -5),
		LOG_TEXT("none", (const char *)NULL));
	is(taken(), "info build started build=abc-1 number=-5 none=-\n", "one line an event");
	begin();
	log_error(LOG_WHAT("failed"), LOG_ERR(&err));
	is(taken(), "error failed error=\"bad \\\"thing\\\"\"\n", "an error's text is quoted");
	begin();
	log_debug(LOG_WHAT("unseen"));
	is(taken(), "", "debug is dropped unless it is wanted");
	log_threshold(LOG_LEVEL_DEBUG);
	begin();
	log_debug(LOG_WHAT("seen"));
	is(taken(), "debug seen\n", "then it is written");
	log_threshold(LOG_LEVEL_ERROR);
	begin();
	log_warning(LOG_WHAT("unseen"));
	is(taken(), "", "below the threshold nothing is");
	log_threshold(LOG_LEVEL_INFO);
}

static void test_hostile(void)
{
	begin();
	log_info(LOG_WHAT("push"), LOG_TEXT("ref", "a\nerror forged line=1\r\x1b[2J\x7f\xc3\xa9\t\\"));
	is(taken(), "info push ref=\"a\\nerror forged line=1\\x0d\\x1b[2J\\x7f\\xc3\\xa9\\t\\\\\"\n",
		"foreign text stays in its line and its quotes");
	begin();
	log_info(LOG_WHAT("push"), LOG_TEXT("ref", "a=b"), LOG_TEXT("empty", ""), LOG_TEXT("blank", "a b"));
	is(taken(), "info push ref=\"a=b\" empty=\"\" blank=\"a b\"\n", "what could be taken for another key is quoted");
}

static void test_long(void)
{
	static char text[30000];
	const char *line;

	memset(text, 'x', sizeof text - 1);
	begin();
	log_info(LOG_WHAT("long"), LOG_TEXT("a", text), LOG_TEXT("b", "after"));
	line = taken();
	ok(strncmp(line, "info long a=", 12) == 0 && strcmp(line + strlen(line) - 4, "...\n") == 0 && strlen(line) <= 8192,
		"a long line is cut, and says so");
	memset(text, '\x1b', sizeof text - 1);
	begin();
	log_info(LOG_WHAT("long"), LOG_TEXT("a", text));
	line = taken();
	ok(strcmp(line + strlen(line) - 4, "...\n") == 0 && strlen(line) <= 8192, "so is one that grew by escaping");
}

static void test_errno(void)
{
	int number;

	begin();
	close(2);
	errno = EXDEV;
	log_error(LOG_WHAT("unheard"));
	number = errno;
	dup2(saved_stderr, 2);
	close(saved_stderr);
	ok(number == EXDEV, "errno is kept, also when nothing can be written");
}

int main(void)
{
	tmp_make();
	unsetenv("JOURNAL_STREAM");
	test_lines();
	test_hostile();
	test_long();
	test_errno();
	return tap_done();
}
