#include "build/jenkins_log.h"

#include <stdlib.h>

#include "tests/tap.h"
#include "tests/tmp.h"

static struct err err;

static const char *kept(void)
{
	static char text[300000];
	FILE *file = fopen(tmp_path("log"), "r");
	size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;

	text[length] = '\0';
	if (file)
		fclose(file);
	return text;
}

static struct jenkins_log *start(void)
{
	return jenkins_log_open(tmp_path("log"), "line-1 ", &err);
}

static void add(struct jenkins_log *log, const char *text)
{
	ok(jenkins_log_add(log, text, strlen(text), &err) == 0, "it is taken");
}

static void test_text(void)
{
	struct jenkins_log *log = start();

	add(log, "one\r\ntwo\r");
	add(log, "\nthree\rfour\tfive\x1b[8mha:\x7f\n");
	is(kept(), "one\ntwo\nthree\\x0dfour\tfive\\x1b[8mha:\\x7f\n", "CRLF is LF, also in two pieces, and control characters are escaped");
	is(jenkins_log_line(log), NULL, "no such line");
	ok(jenkins_log_restart(log, &err) == 0, "the log is another");
	add(log, "\xc3\xa4\n");
	is(kept(), "\xc3\xa4\n", "and begins anew");
	jenkins_log_free(log);
	jenkins_log_free(start());
	is(kept(), "", "as does one that is opened again");
}

static void test_line(void)
{
	struct jenkins_log *log = start();

	add(log, "x\nline-1 a b\nnot line-1 c d\nline-");
	is(jenkins_log_line(log), "line-1 a b", "the line");
	add(log, "1 e f");
	is(jenkins_log_line(log), "line-1 e f", "a later one counts, also one without an end");
	add(log, "g\r\nFinished: SUCCESS\r\n");
	is(jenkins_log_line(log), "line-1 e fg", "and whatever follows it");
	ok(jenkins_log_restart(log, &err) == 0, "the log is another");
	is(jenkins_log_line(log), NULL, "without it");
	jenkins_log_free(log);
	log = jenkins_log_open(NULL, "line-1 ", &err);
	add(log, "line-1 only\n");
	is(jenkins_log_line(log), "line-1 only", "without a file");
	jenkins_log_free(log);
}

static void test_long(void)
{
	struct jenkins_log *log = start();
	size_t length = 270000;
	char *text = malloc(length + 1);

	memset(text, 'a', length);
	memcpy(text, "line-1 ", 7);
	text[length] = '\n';
	ok(jenkins_log_add(log, text, length + 1, &err) == 0, "a line that is longer than any");
	is(jenkins_log_line(log), NULL, "is none of ours");
	ok(strlen(kept()) == length + 1, "but is kept");
	add(log, "line-1 b\n");
	is(jenkins_log_line(log), "line-1 b", "and the next one may be");
	memset(text, 1, length);
	ok(jenkins_log_add(log, text, length, &err) == 0, "all of it control characters");
	free(text);
	jenkins_log_free(log);
	ok(!jenkins_log_open("/nowhere/log", "x", &err) && strstr(err.text, "/nowhere/log"), "a file that can't be");
}

int main(void)
{
	tmp_make();
	test_text();
	test_line();
	test_long();
	return tap_done();
}
