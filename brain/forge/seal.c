#include "forge/seal.h"

#include <string.h>

#include "base/jsonget.h"
#include "forge/text.h"

char *seal_line(struct arena *arena, const struct seal_form *form, const char *payload, const struct crypto_key *key, struct err *err)
{
	char *head = arena_printf(arena, "%s%s", form->header, crypto_base64(arena, payload, strlen(payload)));
	unsigned char signature[CRYPTO_SIGNATURE_SIZE];
	char *line;

	if (crypto_sign(key, head, strlen(head), signature, err) < 0)
		return NULL;
	line = arena_printf(arena, "%s %s", head, crypto_base64(arena, signature, sizeof signature));
	if (strlen(line) > form->maximum) {
		err_set(err, ERR_FULL, "%s of %zu bytes, over %zu", form->what, strlen(line), form->maximum);
		return NULL;
	}
	return line;
}

const char *seal_open(
	struct arena *arena, const struct seal_form *form, const char *line, const struct crypto_key *key, size_t *length, struct err *err)
{
	size_t line_length = strnlen(line, form->maximum + 2), head = strlen(form->header), signature_length;
	const char *payload = line + head, *space;
	char *encoded, *signature, *bytes;

	if (line_length > 0 && line[line_length - 1] == '\n')
		line_length--;
	if (line_length > form->maximum || line_length < head || strncmp(line, form->header, head) != 0)
		goto err0;
	space = memchr(payload, ' ', line_length - head);
	if (!space)
		goto err0;
	encoded = arena_memdup(arena, payload, (size_t)(space - payload));
	signature = arena_memdup(arena, space + 1, line_length - (size_t)(space + 1 - line));
	signature = crypto_unbase64(arena, signature, &signature_length);
	if (!signature || signature_length != CRYPTO_SIGNATURE_SIZE)
		goto err0;
	if (!crypto_verify(key, line, (size_t)(space - line), (const unsigned char *)signature, signature_length)) {
		err_set(err, ERR_REFUSED, "%s whose signature is not of the key that it must be of", form->what);
		return NULL;
	}
	bytes = crypto_unbase64(arena, encoded, length);
	if (bytes)
		return bytes;
err0:
	err_set(err, ERR_INPUT, "not a line with %s that is signed", form->what);
	return NULL;
}

json_t *seal_peek(struct arena *arena, const struct seal_form *form, const char *line, size_t nodes)
{
	size_t head = strlen(form->header), length;
	const char *payload = line + head;
	struct err ignored;
	char *bytes;

	if (strncmp(line, form->header, head) != 0)
		return NULL;
	bytes = crypto_unbase64(arena, arena_memdup(arena, payload, strcspn(payload, " \n")), &length);
	return bytes ? jsonget_parse(bytes, length, nodes, &ignored) : NULL;
}

void seal_put_texts(json_t *json, const struct seal_text *texts, size_t count, const void *record)
{
	for (size_t i = 0; i < count; i++) {
		const char *value;

		memcpy(&value, (const char *)record + texts[i].at, sizeof value);
		json_object_set_new(json, texts[i].key, text_json(value));
	}
}

int seal_get_texts(
	struct arena *arena, const json_t *json, const struct seal_text *texts, size_t count, void *record, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		const char *text;

		if (jsonget_string(json, texts[i].key, &text, err) < 0)
			return -1;
		text = arena_strdup(arena, text);
		memcpy((char *)record + texts[i].at, &text, sizeof text);
	}
	return 0;
}
