#include "slaves/record/taplines.h"

#include <stdbool.h>
#include <string.h>

struct reading {
	struct counts *counts;
	int64_t planned, seen;
	bool any; /* line that is TAP */
	/* The last test, which is added when the next line shows that nothing more is said of it. */
	bool pending;
	enum counts_end end;
	const char *name;
	size_t name_length;
	int64_t ms;
};

/* One line, or what is left of it. */
struct line {
	const char *at, *end;
};

static bool take_word(struct line *line, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(line->end - line->at) < length || strncasecmp(line->at, word, length) != 0)
		return false;
	line->at += length;
	return true;
}

static void skip_blanks(struct line *line)
{
	while (line->at < line->end && (*line->at == ' ' || *line->at == '\t'))
		line->at++;
}

/* -1: there is none. */
static int64_t take_number(struct line *line)
{
	int64_t number = -1;

	for (; line->at < line->end && *line->at >= '0' && *line->at <= '9'; line->at++)
		if (number <= COUNTS_MAXIMUM)
			number = (number < 0 ? 0 : number * 10) + (*line->at - '0');
	return number;
}

/* "12.34ms", "12.34": milliseconds, rounded down. */
static int64_t take_ms(struct line line)
{
	skip_blanks(&line);
	return take_number(&line);
}

static void flush(struct reading *reading)
{
	if (reading->pending)
		counts_add(reading->counts, reading->end, reading->name, reading->name_length, reading->ms);
	reading->pending = false;
}

/* Behind the first `#` that is not escaped. */
static struct line directive(const struct line *line)
{
	struct line found = {line->end, line->end};

	for (const char *at = line->at; at < line->end; at++) {
		if (*at == '\\') {
			at++;
		} else if (*at == '#') {
			found.at = at + 1;
			break;
		}
	}
	skip_blanks(&found);
	return found;
}

static void take_directive(struct reading *reading, struct line line)
{
	if (take_word(&line, "skip"))
		reading->end = COUNTS_SKIPPED;
	else if (take_word(&line, "todo"))
		reading->end = COUNTS_PASSED; /* it is known to fail */
	else if (take_word(&line, "time="))
		reading->ms = take_ms(line);
}

static void take_test(struct reading *reading, struct line line, enum counts_end end)
{
	struct line about;

	flush(reading);
	skip_blanks(&line);
	take_number(&line);
	skip_blanks(&line);
	if (line.at < line.end && *line.at == '-')
		line.at++;
	skip_blanks(&line);
	about = directive(&line);
	reading->pending = reading->any = true;
	reading->seen++;
	reading->end = end;
	reading->ms = -1;
	reading->name = line.at;
	reading->name_length = (size_t)((about.at < line.end ? about.at : line.end) - line.at);
	while (reading->name_length > 0 && strchr(" \t#", line.at[reading->name_length - 1]))
		reading->name_length--;
	take_directive(reading, about);
}

/* "ok", not "okay". */
static bool is_test(const struct line *line)
{
	return line->at == line->end || *line->at == ' ' || *line->at == '\t';
}

/* 1: it is the end of it. */
static int take_line(struct reading *reading, struct line line)
{
	struct line rest = line;

	if (take_word(&rest, "ok") && is_test(&rest)) {
		take_test(reading, rest, COUNTS_PASSED);
	} else if (rest = line, take_word(&rest, "not ok") && is_test(&rest)) {
		take_test(reading, rest, COUNTS_FAILED);
	} else if (rest = line, take_word(&rest, "1..")) {
		int64_t planned = take_number(&rest);

		skip_blanks(&rest);
		if (planned < 0 || (rest.at < rest.end && *rest.at != '#'))
			return 0;
		reading->any = true;
		if (reading->planned <= COUNTS_MAXIMUM)
			reading->planned += planned;
	} else if (rest = line, take_word(&rest, "Bail out!")) {
		reading->any = true;
		return 1;
	} else if (rest = line, skip_blanks(&rest), rest.at > line.at && reading->pending && take_word(&rest, "duration_ms:")) {
		reading->ms = take_ms(rest);
	}
	return 0;
}

int taplines_count(const void *bytes, size_t length, struct counts *counts, struct err *err)
{
	struct reading reading = {.counts = counts};
	const char *at = bytes, *end = at + length;
	int over = 0;

	while (at < end && !over) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		struct line line = {at, newline ? newline : end};

		at = newline ? newline + 1 : end;
		if (line.end > line.at && line.end[-1] == '\r')
			line.end--;
		over = take_line(&reading, line);
	}
	flush(&reading);
	if (reading.planned > reading.seen)
		counts_add_many(counts, COUNTS_FAILED, reading.planned - reading.seen);
	if (over)
		return err_set(err, ERR_INPUT, "TAP report: it bails out");
	return reading.any ? 0 : err_set(err, ERR_INPUT, "TAP report: no line of it is TAP");
}
