#include "conf/expand.h"

#include <string.h>

#include "base/buf.h"

#define DEPTH 8 /* braces in braces */

struct reader {
	const char *text; /* what is left */
	expand_fn *look_up;
	void *cookie;
	struct err *err;
};

static int add(struct reader *reader, struct buf *buf, const char *bytes, size_t length)
{
	if (buf_add(buf, bytes, length) < 0)
		return err_set(reader->err, ERR_CONFIG, "longer than %d bytes when its {…} are filled in", EXPAND_MAXIMUM);
	return 0;
}

static int braces(struct reader *reader, struct buf *into, unsigned depth);

/* Up to the end, or to the brace that closes what was opened. */
static int part(struct reader *reader, struct buf *into, unsigned depth)
{
	while (*reader->text && !(depth && *reader->text == '}')) {
		size_t length = strcspn(reader->text, depth ? "\\{}" : "\\{");

		if (*reader->text == '{') {
			if (braces(reader, into, depth + 1) < 0)
				return -1;
			continue;
		}
		if (*reader->text == '\\') {
			if (reader->text[1] == '{' || reader->text[1] == '}')
				reader->text++;
			length = 1;
		}
		if (add(reader, into, reader->text, length) < 0)
			return -1;
		reader->text += length;
	}
	return 0;
}

/* At an opening brace. */
static int braces(struct reader *reader, struct buf *into, unsigned depth)
{
	const char *begin = reader->text++;
	const char *value = NULL;
	struct buf name;
	int rc = -1;

	buf_init(&name, EXPAND_MAXIMUM);
	if (depth > DEPTH) {
		err_set(reader->err, ERR_CONFIG, "more than %d braces in each other", DEPTH);
		goto end;
	}
	if (part(reader, &name, depth) < 0)
		goto end;
	if (*reader->text != '}') {
		err_set(reader->err, ERR_CONFIG,
			"\"%.60s\" has no } that closes it; a brace that is meant as itself is written \\{", begin);
		goto end;
	}
	reader->text++;
	if (reader->look_up(reader->cookie, name.data ? name.data : "", &value, reader->err) < 0)
		goto end;
	rc = add(reader, into, value, strlen(value));
end:
	buf_release(&name);
	return rc;
}

const char *expand_text(struct arena *arena, const char *text, expand_fn *look_up, void *cookie, struct err *err)
{
	struct reader reader = {.text = text, .look_up = look_up, .cookie = cookie, .err = err};
	const char *expanded = NULL;
	struct buf buf;

	buf_init(&buf, EXPAND_MAXIMUM);
	if (part(&reader, &buf, 0) == 0)
		expanded = arena_memdup(arena, buf.data ? buf.data : "", buf.length);
	buf_release(&buf);
	return expanded;
}
