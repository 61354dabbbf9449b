/* What comes out of a worker, in whatever parts. */
#include "fuzz.h"
#include "slaves/common/newc.h"

struct seen {
	int64_t left;
	unsigned files, inside;
	uint64_t sum;
};

static int begin(void *cookie, const char *name, int64_t size, struct err *err)
{
	struct seen *seen = cookie;

	MUST(!seen->inside && *name && strlen(name) <= NEWC_NAME_MAXIMUM && size >= 0 && size <= NEWC_SIZE_MAXIMUM);
	seen->left = size;
	seen->inside = 1;
	seen->files++;
	return seen->files > 1000 ? err_set(err, ERR_FULL, "enough") : 0;
}

static int bytes(void *cookie, const void *at, size_t length, struct err *err)
{
	struct seen *seen = cookie;

	(void)err;
	MUST(seen->inside && length > 0 && (int64_t)length <= seen->left);
	seen->left -= (int64_t)length;
	for (size_t i = 0; i < length; i++)
		seen->sum = seen->sum * 31 + ((const uint8_t *)at)[i];
	return 0;
}

static int end(void *cookie, struct err *err)
{
	struct seen *seen = cookie;

	(void)err;
	MUST(seen->inside && seen->left == 0);
	seen->inside = 0;
	return 0;
}

static int read_all(const uint8_t *at, size_t length, size_t step, struct seen *seen, bool *ended)
{
	const struct newc_taker taker = {seen, begin, bytes, end};
	struct newc_reader reader = {.have = 0};
	struct err err = {.kind = ERR_NONE};

	for (size_t used = 0; used < length; used += step)
		if (newc_read(&reader, &taker, at + used, length - used < step ? length - used : step, &err) < 0) {
			MUST(err.kind == ERR_INPUT || err.kind == ERR_FULL);
			return -1;
		}
	*ended = reader.ended;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t length)
{
	struct seen whole = {.files = 0}, parts = {.files = 0};
	bool whole_ended = false, parts_ended = false;
	int rc = read_all(at, length, length ? length : 1, &whole, &whole_ended);

	MUST(read_all(at, length, 7, &parts, &parts_ended) == rc && whole_ended == parts_ended);
	MUST(whole.files == parts.files && whole.sum == parts.sum);
	return 0;
}
