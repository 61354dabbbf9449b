#include "loop/framing.h"

#include "tests/tap.h"

static void wants(const char *method, const char *length, const char *coding, unsigned status, size_t declared)
{
	struct framing framing = {.method = method,
		.length = length,
		.lengths = length ? 1 : 0,
		.coding = coding,
		.maximum = 26214400};
	const char *text;
	size_t got_declared;
	unsigned got = framing_check(&framing, &got_declared, &text);
	char what[200];

	snprintf(what, sizeof what, "%s, length %.60s, coding %.60s: %u", method, length ? length : "none", coding ? coding : "none",
		status);
	if (!ok(got == status && (status || got_declared == declared), what))
		printf("# got %u, %zu bytes: %s\n", got, got_declared, text);
}

int main(void)
{
	struct framing twice = {.method = "POST", .length = "5", .lengths = 2, .maximum = 10};
	struct framing nothing = {.method = "GET", .length = "1", .lengths = 1, .maximum = 0};
	const char *text;
	size_t declared;

	wants("GET", NULL, NULL, 0, 0);
	wants("GET", "0", NULL, 0, 0);
	wants("HEAD", NULL, NULL, 0, 0);
	wants("POST", "0", NULL, 0, 0);
	wants("POST", "7", NULL, 0, 7);
	wants("POST", "0000000000000000000000000007", NULL, 0, 7);
	wants("POST", "26214400", NULL, 0, 26214400);
	wants("POST", "26214401", NULL, 413, 0);
	wants("POST", "26214410", NULL, 413, 0);
	wants("POST", "262144000", NULL, 413, 0);
	wants("POST", "18446744073709551615", NULL, 413, 0);
	wants("POST", "18446744073709551616", NULL, 413, 0);
	wants("POST", "18446744073709551623", NULL, 413, 0);
	wants("POST", "99999999999999999999999999999999999999", NULL, 413, 0);
	wants("POST", NULL, NULL, 411, 0);
	wants("PUT", NULL, NULL, 411, 0);
	wants("PATCH", NULL, NULL, 411, 0);
	wants("POST", NULL, "chunked", 411, 0);
	wants("POST", "7", "chunked", 411, 0);
	wants("GET", NULL, "identity", 411, 0);
	wants("POST", "", NULL, 400, 0);
	wants("POST", "-7", NULL, 400, 0);
	wants("POST", "+7", NULL, 400, 0);
	wants("POST", "7, 7", NULL, 400, 0);
	wants("POST", "0x7", NULL, 400, 0);
	wants("POST", "7 ", NULL, 400, 0);
	ok(framing_check(&twice, &declared, &text) == 400, "two lengths are 400");
	ok(framing_check(&nothing, &declared, &text) == 413, "one byte where none is taken is 413");
	return tap_done();
}
