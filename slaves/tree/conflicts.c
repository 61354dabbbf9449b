#include "slaves/tree/conflicts.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "slaves/common/output.h"

#define CONFLICTS_MAXIMUM 20000 /* bytes of conflict lines that are kept */
#define CONFLICTS_SOME 600      /* of them in the error */

struct field {
	const char *at, *end;
};

/* The next of NUL-ended fields. False at the end. */
static bool next_field(struct field *rest, struct field *field)
{
	if (rest->at >= rest->end)
		return false;
	const char *end = memchr(rest->at, 0, (size_t)(rest->end - rest->at));
	field->at = rest->at;
	field->end = end ? end : rest->end;
	rest->at = end ? end + 1 : rest->end;
	return true;
}

/*
 * What git merge-tree -z writes after the tree and the list of conflicted files, which an empty field ends: for each message
 * the number of its paths, the paths, its kind and its words (git-merge-tree(1), OUTPUT).
 */
static void collect_conflicts(struct field rest, struct buf *lines)
{
	struct field field, kind, words;

	while (next_field(&rest, &field) && field.at < field.end)
		continue;
	while (next_field(&rest, &field)) {
		for (long paths = strtol(field.at, NULL, 10); paths > 0; paths--)
			if (!next_field(&rest, &field))
				return;
		if (!next_field(&rest, &kind) || !next_field(&rest, &words))
			return;
		if (kind.end - kind.at < 8 || memcmp(kind.at, "CONFLICT", 8) != 0)
			continue;
		if (output_escape(lines, words.at, (size_t)(words.end - words.at)) < 0 || buf_adds(lines, "\n") < 0)
			return;
	}
}

int conflicts_read(struct arena *arena, const struct child_result *result, const char **conflicts, struct err *err)
{
	struct field rest = {.at = result->out.data, .end = result->out.data + result->out.length}, field;
	struct buf lines;

	buf_init(&lines, CONFLICTS_MAXIMUM);
	if (next_field(&rest, &field))
		collect_conflicts(rest, &lines);
	*conflicts = lines.data ? arena_strdup(arena, lines.data) : "";
	const char *some = output_line(arena, *conflicts, strlen(*conflicts), CONFLICTS_SOME);
	buf_release(&lines);
	return err_set(err, ERR_CONFLICT, "%s", *some ? some : "git merge-tree names no file");
}
