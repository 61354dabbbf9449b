#include "forge/text.h"

#include <stddef.h>

/* Length of the UTF-8 sequence at `text` (no overlong form, no surrogate, at most U+10FFFF), or 0. */
static size_t sequence(const unsigned char *text)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (text[0] < 0x80)
		return 1;
	if (text[0] < 0xc2 || text[0] > 0xf4)
		return 0;
	length = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
	if (text[0] == 0xe0)
		low = 0xa0;
	else if (text[0] == 0xed)
		high = 0x9f;
	else if (text[0] == 0xf0)
		low = 0x90;
	else if (text[0] == 0xf4)
		high = 0x8f;
	if (text[1] < low || text[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

char *text_utf8(struct arena *arena, const char *text)
{
	char *copy = arena_strdup(arena, text ? text : "");

	for (size_t i = 0, length; copy[i]; i += length) {
		length = sequence((const unsigned char *)copy + i);
		if (length == 0) {
			copy[i] = '?';
			length = 1;
		}
	}
	return copy;
}

json_t *text_json(const char *text)
{
	struct arena *arena = arena_new();
	json_t *json = json_string(text_utf8(arena, text));

	arena_free(arena);
	return json;
}
