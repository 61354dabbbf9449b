/* The headers that say how long a request is and what part of a file it asks for. Lines: method, length, coding, range, size. */
#include "loop/framing.h"
#include "loop/range.h"
#include "fuzz.h"

enum { MAXIMUM = 26214400, LINES = 5 };

static void check_framing(char *const lines[])
{
	struct framing framing = {.method = lines[0], .length = lines[1], .lengths = lines[1] ? 1 : 0,
		.coding = lines[2] && *lines[2] ? lines[2] : NULL, .maximum = MAXIMUM};
	const char *why = NULL;
	size_t declared;
	unsigned status = framing_check(&framing, &declared, &why);

	MUST(status == 0 || status == 400 || status == 411 || status == 413);
	MUST(status ? why && *why : declared <= MAXIMUM);
	MUST(status || !lines[1] || strtoull(lines[1], NULL, 10) == declared);
}

static void check_range(const char *header, const char *size_text)
{
	uint64_t size = size_text ? strtoull(size_text, NULL, 10) : 0, first, length;
	char text[RANGE_TEXT];
	enum range range = range_parse(header, size, &first, &length);

	if (range == RANGE_WHOLE)
		MUST(first == 0 && length == size);
	else if (range == RANGE_OUTSIDE)
		MUST(length == 0);
	else
		MUST(length > 0 && first < size && length <= size - first);
	MUST(strlen(range_text(range, first, length, size, text)) < sizeof text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	char *text = fuzz_text(bytes, length), *rest = text, *lines[LINES] = {NULL};

	for (int i = 0; i < LINES && rest; i++)
		lines[i] = strsep(&rest, "\n");
	check_framing(lines);
	check_range(lines[3], lines[4]);
	free(text);
	return 0;
}
