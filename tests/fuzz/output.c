/* What a test writes, on its way into logs and pages: printable UTF-8 comes out, whatever went in. */
#include "fuzz.h"
#include "slaves/common/output.h"

#include <jansson.h>

static void check_printable(const char *text, size_t length)
{
	json_t *json = json_stringn(text, length); /* NULL: not UTF-8 */

	MUST(json);
	json_decref(json);
	for (size_t i = 0; i < length; i++)
		MUST((unsigned char)text[i] >= ' ' || text[i] == '\t');
	MUST(!memchr(text, 0x7f, length));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	const char *newline = memchr(bytes, '\n', length);
	struct arena *arena = arena_new();
	char *line = output_line(arena, (const char *)bytes, length, 200);
	struct buf escaped;

	check_printable(line, strlen(line));
	buf_init(&escaped, length * 4 + 1);
	MUST(output_escape(&escaped, (const char *)bytes, newline ? (size_t)(newline - (const char *)bytes) : length) == 0);
	if (escaped.length)
		check_printable(escaped.data, escaped.length);
	buf_release(&escaped);
	arena_free(arena);
	return 0;
}
