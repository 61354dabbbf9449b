#include "loop/spool.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/tap.h"

static bool same(struct spool *spool, const char *wanted, size_t length)
{
	struct err err = {0};
	const void *bytes = spool_bytes(spool, &err);

	return bytes && spool->length == length && memcmp(bytes, wanted, length) == 0;
}

int main(void)
{
	struct spool spool;
	struct err err = {0};
	static char bytes[300000];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (char)(i * 31 + i / 256);
	spool_init(&spool, 100);
	ok(same(&spool, "", 0), "nothing is nothing, and no failure");
	ok(spool_add(&spool, bytes, 60, &err) == 0 && spool_add(&spool, bytes + 60, 40, &err) == 0, "a few bytes");
	ok(same(&spool, bytes, 100) && spool.fd < 0, "are kept in memory");
	ok(spool_add(&spool, bytes + 100, 1, &err) == 0 && spool.fd >= 0, "one more moves them to a file");
	ok(same(&spool, bytes, 101), "where they all are");
	ok(spool_add(&spool, bytes + 101, sizeof bytes - 101, &err) == 0 && same(&spool, bytes, sizeof bytes),
		"many more, after a look");
	ok(spool.memory.length == 0, "and memory is given back");
	spool_release(&spool);
	ok(spool.fd < 0 && same(&spool, "", 0), "released, it is empty again");
	ok(spool_add(&spool, "x", 1, &err) == 0 && same(&spool, "x", 1), "and can be used again");
	spool_release(&spool);
	setenv("TMPDIR", "/nowhere/at/all", 1);
	ok(spool_add(&spool, bytes, 100, &err) == 0 && spool_add(&spool, bytes, 1, &err) < 0 && *err.text,
		"no folder for the file is an error");
	ok(same(&spool, bytes, 100), "that keeps what was there");
	spool_release(&spool);
	return tap_done();
}
