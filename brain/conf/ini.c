#include "conf/ini.h"

#include <errno.h>
#include <ini_configobj.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTION_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789._-"
#define BLANKS " \t\r"

struct parser {
	struct arena *arena;
	const char *file;
	struct err *err;
	struct ini_cfgobj *ini;
	struct ini_line *lines;
	size_t count, room;
};

static void keep(struct parser *parser, const struct ini_line *line)
{
	if (parser->count == parser->room) {
		size_t room = parser->room * 2 + 64;
		struct ini_line *more = arena_alloc(parser->arena, room * sizeof *more);

		if (parser->count)
			memcpy(more, parser->lines, parser->count * sizeof *more);
		parser->lines = more;
		parser->room = room;
	}
	parser->lines[parser->count++] = *line;
}

static const char *trimmed(struct arena *arena, const char *text, size_t length)
{
	while (length && strchr(BLANKS, *text)) {
		text++;
		length--;
	}
	while (length && strchr(BLANKS, text[length - 1]))
		length--;
	return arena_memdup(arena, text, length);
}

/*
 * What libini_config does not tell or takes without a word: the lines of sections, options before the first section (it loses
 * one), and letters' case (it sees none). Anything else that is wrong with the line it tells itself.
 */
static int look_at_line(struct parser *parser, unsigned number, const char *line, const char **section)
{
	struct ini_line seen = {.file = parser->file, .line = number};
	size_t length = strlen(line);

	if (!length)
		return 0;
	if (line[0] == '[') {
		if (line[length - 1] != ']')
			return err_set(parser->err, ERR_CONFIG, "%s:%u: a section has no ]; write [SECTION], alone in its line",
				parser->file, number);
		seen.section = *section = trimmed(parser->arena, line + 1, length - 2);
		keep(parser, &seen);
		return 0;
	}
	length = strcspn(line, "=");
	if (!line[length])
		return err_set(parser->err, ERR_CONFIG,
			"%s:%u: neither [SECTION] nor OPTION = VALUE; a comment begins with # in the first column", parser->file,
			number);
	if (!*section)
		return err_set(parser->err, ERR_CONFIG, "%s:%u: an option before the first section; put [byoci] above it",
			parser->file, number);
	line = trimmed(parser->arena, line, length);
	if (!*line || line[strspn(line, OPTION_CHARACTERS)])
		return err_set(parser->err, ERR_CONFIG, "%s:%u: [%s] an option's name has a-z 0-9 . _ - and nothing else",
			parser->file, number, *section);
	return 0;
}

static int look_at_lines(struct parser *parser, const char *text)
{
	const char *section = NULL;
	unsigned number = 1;

	if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3;
	for (; *text; number++) {
		size_t length = strcspn(text, "\n");

		/* A comment is one in the first column only; blanks before it make it a line of its own. */
		if (!strchr("#;", *text) && look_at_line(parser, number, trimmed(parser->arena, text, length), &section) < 0)
			return -1;
		text += length + (text[length] == '\n');
	}
	return 0;
}

/* The first of libini_config's errors: "Error (N) on line L: WORDS." */
static int explain(struct parser *parser, int number)
{
	char **errors = NULL;
	unsigned line = 0;
	int skip = 0;

	if (number == EILSEQ)
		return err_set(parser->err, ERR_CONFIG, "%s: is not UTF-8 text; save it as UTF-8", parser->file);
	if (ini_config_get_errors(parser->ini, &errors) == 0 && errors && errors[0] &&
		sscanf(errors[0], "Error (%*d) on line %u: %n", &line, &skip) == 1 && skip)
		err_set(parser->err, ERR_CONFIG, "%s:%u: %s", parser->file, line, errors[0] + skip);
	else
		err_set(parser->err, ERR_CONFIG, "%s: cannot be parsed: %s", parser->file, strerror(number));
	if (errors)
		ini_config_free_errors(errors);
	return -1;
}

/* Every value of one option in one section. */
static int tell_values(struct parser *parser, const char *section, const char *option)
{
	int mode = INI_GET_FIRST_VALUE;

	for (;; mode = INI_GET_NEXT_VALUE) {
		struct ini_line line = {.file = parser->file, .section = section, .option = option};
		struct value_obj *value = NULL;
		uint32_t number = 0;
		int rc = ini_get_config_valueobj(section, option, parser->ini, mode, &value);
		const char *text;

		if (rc == 0 && !value)
			return 0;
		if (rc == 0)
			rc = value_get_line(value, &number);
		text = rc == 0 ? ini_get_const_string_config_value(value, &rc) : NULL;
		if (rc != 0)
			return err_set_errno(parser->err, rc, "%s: [%s] %s", parser->file, section, option);
		line.line = number;
		line.value = trimmed(parser->arena, text ? text : "", text ? strlen(text) : 0);
		keep(parser, &line);
	}
}

/* The list has an option as often as it is written. */
static int tell_section(struct parser *parser, const char *section)
{
	int count = 0, rc = 0;
	char **options = ini_get_attribute_list(parser->ini, section, &count, &rc);

	if (!options)
		return err_set_errno(parser->err, rc, "%s: [%s]", parser->file, section);
	rc = 0;
	for (int i = 0; i < count && rc == 0; i++) {
		int before = 0;

		while (before < i && strcmp(options[before], options[i]) != 0)
			before++;
		if (before == i)
			rc = tell_values(parser, arena_strdup(parser->arena, section), arena_strdup(parser->arena, options[i]));
	}
	ini_free_attribute_list(options);
	return rc;
}

static int hand_over(struct parser *parser)
{
	int count = 0, rc = 0;
	char **sections = ini_get_section_list(parser->ini, &count, &rc);

	if (!sections)
		return rc == 0 ? 0 : err_set_errno(parser->err, rc, "%s: cannot be parsed", parser->file);
	rc = 0;
	for (int i = 0; i < count && rc == 0; i++)
		rc = tell_section(parser, sections[i]);
	ini_free_section_list(sections);
	return rc;
}

static int parse(struct parser *parser, const char *text, size_t length)
{
	struct ini_cfgfile *file = NULL;
	int rc = ini_config_file_from_mem((char *)(uintptr_t)text, (uint32_t)length, &file);

	if (rc == 0)
		rc = ini_config_parse(file, INI_STOP_ON_ANY, INI_MV1S_ALLOW | INI_MV2S_ALLOW | INI_MS_MERGE,
			INI_PARSE_NOWRAP | INI_PARSE_NO_C_COMMENTS, parser->ini);
	if (file)
		ini_config_file_destroy(file);
	return rc == 0 ? 0 : explain(parser, rc);
}

static int compare_lines(const void *one, const void *other)
{
	const struct ini_line *a = one, *b = other;

	return (a->line > b->line) - (a->line < b->line);
}

static int read_lines(struct parser *parser, const char *text, size_t length)
{
	int rc;

	if (strlen(text) != length)
		return err_set(parser->err, ERR_CONFIG, "%s: has a NUL byte in it; it must be text", parser->file);
	if (look_at_lines(parser, text) < 0)
		return -1;
	rc = ini_config_create(&parser->ini);
	if (rc != 0)
		return err_set_errno(parser->err, rc, "%s: cannot be parsed", parser->file);
	rc = parse(parser, text, length);
	if (rc == 0)
		rc = hand_over(parser);
	ini_config_destroy(parser->ini);
	return rc;
}

int ini_parse(struct arena *arena, const struct ini_text *text, ini_fn *call, void *cookie, struct err *err)
{
	struct parser parser = {.arena = arena, .file = text->file, .err = err};

	if (read_lines(&parser, text->text, text->length) < 0)
		return -1;
	if (parser.count)
		qsort(parser.lines, parser.count, sizeof *parser.lines, compare_lines);
	for (size_t i = 0; i < parser.count; i++)
		if (call(cookie, &parser.lines[i], err) < 0)
			return -1;
	return 0;
}
