#include "base/buf.h"

#include "base/strv.h"
#include "tests/tap.h"

static void test_buf(void)
{
	struct buf buf;

	buf_init(&buf, 10);
	ok(!buf.data && buf.length == 0, "a new one has nothing");
	buf_consume(&buf, 3);
	ok(buf_adds(&buf, "") == 0 && buf.data && !*buf.data, "adding nothing makes an empty text");
	ok(buf_adds(&buf, "12345") == 0 && buf_add(&buf, "67890", 5) == 0, "up to its maximum");
	is(buf.data, "1234567890", "the bytes are in order");
	ok(buf_adds(&buf, "x") < 0 && buf_printf(&buf, "%d", 1) < 0, "one more is refused");
	is(buf.data, "1234567890", "… and nothing is added then");
	ok(buf_add(&buf, "x", (size_t)-1) < 0, "a length near the largest does not wrap");
	buf_consume(&buf, 4);
	is(buf.data, "567890", "consume takes the first bytes away");
	ok(buf_printf(&buf, "%s", "abcd") == 0, "which makes room");
	ok(buf_printf(&buf, "%s", "") == 0, "printf of nothing is good when it is full");
	is(buf.data, "567890abcd", "printf adds");
	buf_consume(&buf, 1000);
	ok(buf.length == 0 && !*buf.data, "consuming more than there is leaves nothing");
	ok(buf_add(&buf, "a\0b", 3) == 0 && buf.length == 3 && memcmp(buf.data, "a\0b", 4) == 0, "NUL bytes are bytes");
	buf_clear(&buf);
	is(buf.data, "", "clear forgets");
	buf_release(&buf);
	ok(!buf.data && buf.maximum == 10, "release keeps the maximum");
	buf_release(&buf);
}

static void test_large(void)
{
	struct buf buf;
	bool good = true;

	buf_init(&buf, 1000000);
	for (int i = 0; i < 100000; i++)
		good = good && buf_adds(&buf, "0123456789") == 0;
	ok(good && buf.length == 1000000 && buf.data[1000000] == '\0', "a million bytes in small pieces");
	ok(buf_adds(&buf, "0") < 0, "and no more");
	buf_release(&buf);
}

static void test_strv(void)
{
	struct strv strv = STRV_INIT;
	char text[] = "own";

	ok(!strv.v, "a new vector is NULL");
	strv_push(&strv, text);
	text[0] = '!';
	strv_pushf(&strv, "%s=%d", "n", 7);
	strv_pushl(&strv, "a", "b", (const char *)NULL);
	ok(strv.count == 4 && !strv.v[4], "it ends with NULL");
	is(strv.v[0], "own", "its texts are its own copies");
	is(strv.v[1], "n=7", "pushf formats");
	is(strv.v[3], "b", "pushl pushes each");
	strv_release(&strv);
	ok(!strv.v && !strv.count, "after release it is as new");
	strv_release(&strv);
}

int main(void)
{
	test_buf();
	test_large();
	test_strv();
	return tap_done();
}
