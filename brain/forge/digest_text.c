#include "forge/digest_text.h"

#include <stddef.h>

int digest_text_escaped(struct buf *text, const char *value)
{
	for (; *value; value++) {
		const char *escaped = *value == '\\' ? "\\\\" : *value == '\n' ? "\\n" : NULL;

		if ((escaped ? buf_adds(text, escaped) : buf_add(text, value, 1)) < 0)
			return -1;
	}
	return buf_adds(text, "\n");
}

int digest_text_option(const struct conf_value *value, void *cookie)
{
	struct buf *text = cookie;

	if (!value->value)
		return 0;
	if (buf_printf(text, "%s=", value->option) < 0)
		return -1;
	return digest_text_escaped(text, value->value);
}
