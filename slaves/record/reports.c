#include "slaves/record/reports.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "forge/outcome.h"
#include "slaves/common/output.h"
#include "slaves/common/strict.h"
#include "slaves/record/junit.h"
#include "slaves/record/subunit.h"
#include "slaves/record/taplines.h"

#define TIME_LIMIT_S 20 /* of processor time, for one report */
#define SUBUNIT_BEGIN 0xb3

/* What the process answers, as it is: both ends are one program. */
struct answer {
	struct counts counts;
	char why[1024]; /* "": it was whole */
};

/* XML begins with '<', perhaps after a byte order mark and blanks; UTF-16 with its mark. */
static bool is_xml(const unsigned char *bytes, size_t length)
{
	static const unsigned char mark[] = {0xef, 0xbb, 0xbf};
	size_t at = 0;

	if (length >= 2 && (memcmp(bytes, "\xff\xfe", 2) == 0 || memcmp(bytes, "\xfe\xff", 2) == 0))
		return true;
	if (length >= sizeof mark && memcmp(bytes, mark, sizeof mark) == 0)
		at = sizeof mark;
	while (at < length && strchr(" \t\r\n", bytes[at]) && bytes[at])
		at++;
	return at < length && bytes[at] == '<';
}

int reports_parse(const void *bytes, size_t length, struct counts *counts, struct err *err)
{
	int rc;

	if (is_xml(bytes, length))
		rc = junit_count(bytes, length, counts, err);
	else if (length > 0 && *(const unsigned char *)bytes == SUBUNIT_BEGIN)
		rc = subunit_count(bytes, length, counts, err);
	else
		rc = taplines_count(bytes, length, counts, err);
	counts->reports++;
	counts->broken += rc < 0;
	return rc;
}

static size_t read_all(unsigned char *bytes, size_t room)
{
	size_t length = 0;
	ssize_t got;

	while (length < room && (got = read(STDIN_FILENO, bytes + length, room - length)) != 0) {
		if (got < 0 && errno != EINTR)
			break;
		length += got > 0 ? (size_t)got : 0;
	}
	return length;
}

/* After it, whatever else is tried ends this process. */
static int lock_in(void)
{
	const struct rlimit time = {TIME_LIMIT_S, TIME_LIMIT_S};

	if (setrlimit(RLIMIT_CPU, &time) < 0)
		return -1;
	return strict_enter();
}

int reports_verb(const struct program *program)
{
	static unsigned char bytes[REPORTS_MAXIMUM];
	static struct answer answer;
	struct err err = {0};
	size_t length = read_all(bytes, sizeof bytes), put = 0;

	(void)program;
	if (lock_in() < 0)
		return outcome_exit(OUTCOME_INFRASTRUCTURE);
	if (reports_parse(bytes, length, &answer.counts, &err) < 0)
		memcpy(answer.why, err.text, strnlen(err.text, sizeof answer.why - 1));
	while (put < sizeof answer) {
		ssize_t done = write(STDOUT_FILENO, (const char *)&answer + put, sizeof answer - put);
		if (done <= 0)
			break;
		put += (size_t)done;
	}
	strict_exit(put < sizeof answer);
}

/* Names come from the tests, and are for people. */
static void escape_names(struct counts *counts)
{
	struct arena *arena = arena_new();

	for (int64_t i = 0; i < counts->slow_count; i++) {
		char *name = counts->slowest[i].name;
		const char *clean = output_line(arena, name, strlen(name), COUNTS_NAME_SIZE - 1);
		memset(name, 0, COUNTS_NAME_SIZE);
		memcpy(name, clean, strnlen(clean, COUNTS_NAME_SIZE - 1));
	}
	arena_free(arena);
}

static int run(const struct program *program, const struct child_input *input, struct answer *answer, struct err *err)
{
	struct strv argv = STRV_INIT, environment = STRV_INIT;
	struct child child = CHILD_INIT;
	struct child_result result;

	program_command(program, NULL, &argv, &environment);
	strv_push(&argv, "count");
	child.argv = (const char *const *)argv.v;
	child.environment = (const char *const *)environment.v;
	child.dies_with_parent = true;
	int done = child_run(&child, input, &result, err);
	if (done == 0 && (result.status != 0 || result.out.length != sizeof *answer))
		done = err_set(err, ERR_SYSTEM, "it could not be counted: status %d, %zu bytes of an answer", result.status, result.out.length);
	if (done == 0)
		memcpy(answer, result.out.data, sizeof *answer);
	child_result_release(&result);
	strv_release(&argv);
	strv_release(&environment);
	return done;
}

int reports_count(const struct program *program, struct arena *arena, const char *path, struct counts *counts, const char **why,
	struct err *err)
{
	struct child_input input = {.maximum = sizeof(struct answer) + 1, .limit_ms = 2 * TIME_LIMIT_S * 1000};
	struct answer answer;
	struct arena *own = arena_new();
	int done = -1;

	input.bytes = file_read(own, path, REPORTS_MAXIMUM, &input.length, err);
	if (input.bytes)
		done = run(program, &input, &answer, err);
	arena_free(own);
	if (done < 0)
		return -1;
	if (!counts_valid(&answer.counts) || !memchr(answer.why, 0, sizeof answer.why))
		return err_set(err, ERR_INPUT, "what it was counted to is no answer");
	escape_names(&answer.counts);
	counts_join(counts, &answer.counts);
	*why = output_line(arena, answer.why, strlen(answer.why), OUTPUT_LINE / 4);
	return *answer.why ? 1 : 0;
}
