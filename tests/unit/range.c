#include "loop/range.h"

#include "tests/tap.h"

static void wants(const char *header, uint64_t size, enum range wanted, uint64_t first, uint64_t length)
{
	uint64_t got_first, got_length;
	enum range got = range_parse(header, size, &got_first, &got_length);
	char what[200];

	snprintf(what, sizeof what, "%.100s of %u", header ? header : "no header", (unsigned)size);
	if (!ok(got == wanted && got_first == first && got_length == length, what))
		printf("# got %d, %u bytes from %u\n", (int)got, (unsigned)got_length, (unsigned)got_first);
}

int main(void)
{
	char text[RANGE_TEXT];

	wants(NULL, 10, RANGE_WHOLE, 0, 10);
	wants("bytes=0-", 10, RANGE_PART, 0, 10);
	wants("bytes=0-0", 10, RANGE_PART, 0, 1);
	wants("BYTES=3-5", 10, RANGE_PART, 3, 3);
	wants("bytes=9-9", 10, RANGE_PART, 9, 1);
	wants("bytes=9-99", 10, RANGE_PART, 9, 1);
	wants("bytes=-4", 10, RANGE_PART, 6, 4);
	wants("bytes=-40", 10, RANGE_PART, 0, 10);
	wants("bytes=10-", 10, RANGE_OUTSIDE, 0, 0);
	wants("bytes=-0", 10, RANGE_OUTSIDE, 10, 0);
	wants("bytes=0-", 0, RANGE_OUTSIDE, 0, 0);
	wants("bytes=-1", 0, RANGE_OUTSIDE, 0, 0);
	wants("bytes=5-4", 10, RANGE_WHOLE, 0, 10);
	wants("bytes=-", 10, RANGE_WHOLE, 0, 10);
	wants("bytes=", 10, RANGE_WHOLE, 0, 10);
	wants("bytes", 10, RANGE_WHOLE, 0, 10);
	wants("bytes=1-2,4-5", 10, RANGE_WHOLE, 0, 10);
	wants("bytes=1 -2", 10, RANGE_WHOLE, 0, 10);
	wants("bytes=0x1-2", 10, RANGE_WHOLE, 0, 10);
	wants("lines=1-2", 10, RANGE_WHOLE, 0, 10);
	wants("bytes=0-9223372036854775807", 10, RANGE_PART, 0, 10);
	wants("bytes=9223372036854775807-9223372036854775807", 10, RANGE_OUTSIDE, 0, 0);
	wants("bytes=18446744073709551617-", 10, RANGE_WHOLE, 0, 10);
	wants("bytes=0-18446744073709551617", 10, RANGE_WHOLE, 0, 10);
	is(range_text(RANGE_PART, 2, 3, 10, text), "bytes 2-4/10", "what a part says of itself");
	is(range_text(RANGE_OUTSIDE, 0, 0, 10, text), "bytes */10", "and what no part does");
	return tap_done();
}
