/* A test report in subunit's packets. */
#include "slaves/test/subunit.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct counts counts = {.run = 0}, again = {.run = 0};
	struct err err = {.kind = ERR_NONE};
	int rc = subunit_count(bytes, length, &counts, &err);

	MUST(rc == 0 || (err.kind == ERR_INPUT && *err.text));
	MUST(counts_valid(&counts));
	MUST(subunit_count(bytes, length, &again, &err) == rc && memcmp(&counts, &again, sizeof counts) == 0);
	return 0;
}
