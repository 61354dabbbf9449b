/* A test report in TAP. */
#include "fuzz.h"
#include "slaves/record/taplines.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct counts counts = {.run = 0}, again = {.run = 0};
	struct err err = {.kind = ERR_NONE};
	int rc = taplines_count(bytes, length, &counts, &err);

	MUST(rc == 0 || (err.kind == ERR_INPUT && *err.text));
	MUST(counts_valid(&counts));
	MUST(taplines_count(bytes, length, &again, &err) == rc && memcmp(&counts, &again, sizeof counts) == 0);
	return 0;
}
