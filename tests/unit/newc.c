#include "slaves/common/newc.h"

#include <stdlib.h>

#include "base/buf.h"
#include "tests/tap.h"

static int begin(void *cookie, const char *name, int64_t size, struct err *err)
{
	if (strcmp(name, "refused") == 0)
		return err_set(err, ERR_REFUSED, "not that one");
	return buf_printf(cookie, "<%s %lld>", name, (long long)size);
}

static int bytes(void *cookie, const void *at, size_t length, struct err *err)
{
	(void)err;
	return buf_add(cookie, at, length);
}

static int end(void *cookie, struct err *err)
{
	(void)err;
	return buf_adds(cookie, ";");
}

static void add(struct buf *stream, const char *name, const char *content)
{
	char head[NEWC_HEAD_MAXIMUM];
	int64_t size = (int64_t)strlen(content);

	if (buf_add(stream, head, newc_head(head, name, size)) < 0 || buf_adds(stream, content) < 0 ||
		buf_add(stream, "\0\0\0", newc_padding(size)) < 0)
		exit(1);
}

static struct err err;

/* What a reader makes of it, in parts of `step` bytes: -1, or what was taken. */
static const char *read_back(const struct buf *stream, size_t step, bool *ended)
{
	static struct buf taken;
	struct newc_taker taker = {&taken, begin, bytes, end};
	struct newc_reader reader = {.have = 0};

	buf_release(&taken);
	buf_init(&taken, 1 << 20);
	err_clear(&err);
	for (size_t at = 0; at < stream->length; at += step)
		if (newc_read(&reader, &taker, stream->data + at, stream->length - at < step ? stream->length - at : step, &err) < 0)
			return "refused";
	*ended = reader.ended;
	return taken.data ? taken.data : "";
}

static void test_round(struct buf *stream)
{
	bool ended = false;

	add(stream, "a", "");
	add(stream, "out/b.txt", "hello");
	add(stream, "c", "1234");
	add(stream, NEWC_TRAILER, "");
	for (size_t step = 1; step < 300; step += 73) {
		is(read_back(stream, step, &ended), "<a 0>;<out/b.txt 5>hello;<c 4>1234;", "files are read as they were written");
		ok(ended, "to their end");
	}
	stream->length -= 1;
	read_back(stream, 50, &ended);
	ok(!ended, "a stream that is cut has no end");
	stream->length += 1;
}

static void test_wrong(struct buf *stream)
{
	bool ended;
	size_t good = 0, length = stream->length;

	for (size_t i = 0; i < length; i++) {
		char before = stream->data[i];

		stream->data[i] = '\xff';
		good += strcmp(read_back(stream, 64, &ended), "<a 0>;<out/b.txt 5>hello;<c 4>1234;") == 0 && ended;
		stream->data[i] = before;
	}
	/* Numbers that mean nothing, of four heads with eleven of eight digits. */
	ok(good == 4 * 88, "a byte that means something and is spoiled is seen");
	if (buf_adds(stream, "x") < 0)
		exit(1);
	is(read_back(stream, 64, &ended), "refused", "bytes after the end are refused");
	buf_clear(stream);
	add(stream, "refused", "x");
	is(read_back(stream, 64, &ended), "refused", "who takes them can refuse");
	is(err.text, "not that one", "and say why");
	buf_clear(stream);
	add(stream, "", "x");
	is(read_back(stream, 64, &ended), "refused", "an empty name is refused");
	buf_clear(stream);
	add(stream, "x", "");
	memcpy(stream->data + 6 + 11 * 8, "ffffffff", 8);
	is(read_back(stream, 64, &ended), "refused", "as is one without an end");
	buf_clear(stream);
	add(stream, "x", "");
	stream->data[NEWC_HEADER] = '\0';
	is(read_back(stream, 64, &ended), "refused", "or of another length than is said");
	buf_release(stream);
}

int main(void)
{
	struct buf stream;

	buf_init(&stream, 1 << 20);
	test_round(&stream);
	test_wrong(&stream);
	return tap_done();
}
