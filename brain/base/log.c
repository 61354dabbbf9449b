#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_SIZE 8192
#define CUT "..."

static enum log_level threshold = LOG_LEVEL_INFO;

static const char *const level_names[] = {
	[LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_ERROR] = "error",
};

/* A line being made; what does not fit is left out, and the end of the line says so. */
struct line {
	size_t length;
	bool cut;
	char bytes[LINE_SIZE];
};

static void add(struct line *line, const char *text, size_t length)
{
	if (line->cut || length > sizeof line->bytes - sizeof CUT - line->length) {
		line->cut = true;
		return;
	}
	memcpy(line->bytes + line->length, text, length);
	line->length += length;
}

static void adds(struct line *line, const char *text)
{
	add(line, text, strlen(text));
}

static void add_escaped(struct line *line, const char *text)
{
	char hex[8];

	for (; *text && !line->cut; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '\n')
			adds(line, "\\n");
		else if (c == '\t')
			adds(line, "\\t");
		else if (c == '"' || c == '\\')
			add(line, (const char[]){'\\', (char)c}, 2);
		else if (c < ' ' || c > '~')
			add(line, hex, (size_t)snprintf(hex, sizeof hex, "\\x%02x", c));
		else
			add(line, text, 1);
	}
}

static bool is_plain(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++)
		if (*text <= ' ' || *text > '~' || strchr("\"\\=", *text))
			return false;
	return true;
}

static void add_field(struct line *line, const struct log_field *field)
{
	char number[24];

	adds(line, " ");
	if (!*field->key) {
		add_escaped(line, field->text ? field->text : "-");
		return;
	}
	adds(line, field->key);
	adds(line, "=");
	if (!field->text) {
		snprintf(number, sizeof number, "%" PRId64, field->number);
		adds(line, number);
	} else if (is_plain(field->text)) {
		adds(line, field->text);
	} else {
		adds(line, "\"");
		add_escaped(line, field->text);
		adds(line, "\"");
	}
}

/* The journal has its own time; a plain file needs ours. */
static void add_time(struct line *line)
{
	char now[CLOCK_ISO_SIZE];

	if (getenv("JOURNAL_STREAM"))
		return;
	adds(line, " time=");
	adds(line, clock_iso(clock_wall_ms(), now));
}

void log_threshold(enum log_level level)
{
	threshold = level;
}

void log_write(enum log_level level, const struct log_field *fields)
{
	struct line line = {.length = 0};
	int number = errno;

	if (level < threshold)
		return;
	adds(&line, level_names[level]);
	for (; fields->key; fields++)
		add_field(&line, fields);
	add_time(&line);
	if (line.cut) {
		memcpy(line.bytes + line.length, CUT, sizeof CUT - 1);
		line.length += sizeof CUT - 1;
	}
	line.bytes[line.length++] = '\n';
	/* Nobody is left to be told that a log line could not be written. */
	if (write(STDERR_FILENO, line.bytes, line.length) < 0)
		errno = 0;
	errno = number;
}
