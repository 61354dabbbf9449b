#include "slaves/common/newc.h"

#include <ctype.h>
#include <string.h>

#define MAGIC "070701"
#define MODE_FILE 0100644U

enum { FIELD_MODE = 1, FIELD_LINKS = 4, FIELD_SIZE = 6, FIELD_NAME = 11 }; /* which of the thirteen numbers it is */

static size_t filled(size_t length)
{
	return (length + 3) / 4 * 4;
}

static void put_field(char *head, unsigned number, uint64_t value)
{
	char *at = head + sizeof MAGIC - 1 + (size_t)number * 8;

	for (int i = 8; i-- > 0; value >>= 4)
		at[i] = "0123456789abcdef"[value & 15];
}

size_t newc_head(char out[static NEWC_HEAD_MAXIMUM], const char *name, int64_t size)
{
	size_t length = strlen(name) + 1, whole = filled(NEWC_HEADER + length);

	memcpy(out, MAGIC, sizeof MAGIC - 1);
	memset(out + sizeof MAGIC - 1, '0', NEWC_HEADER - (sizeof MAGIC - 1));
	put_field(out, FIELD_MODE, MODE_FILE);
	put_field(out, FIELD_LINKS, 1);
	put_field(out, FIELD_SIZE, (uint64_t)size);
	put_field(out, FIELD_NAME, length);
	memcpy(out + NEWC_HEADER, name, length);
	memset(out + NEWC_HEADER + length, 0, whole - NEWC_HEADER - length);
	return whole;
}

size_t newc_padding(int64_t size)
{
	return (size_t)(-size & 3);
}

static int wrong(struct err *err, const char *what)
{
	return err_set(err, ERR_INPUT, "artefacts: %s", what);
}

static bool field(const char *head, unsigned number, int64_t *value)
{
	const char *at = head + sizeof MAGIC - 1 + (size_t)number * 8;

	*value = 0;
	for (int i = 0; i < 8; i++) {
		char digit = at[i];

		if (!isxdigit((unsigned char)digit))
			return false;
		*value = *value * 16 + (digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
	}
	return true;
}

/* The thirteen numbers are there: how long it all is. */
static int measure(struct newc_reader *reader, struct err *err)
{
	int64_t name;

	if (memcmp(reader->head, MAGIC, sizeof MAGIC - 1) != 0 || !field(reader->head, FIELD_NAME, &name) ||
		!field(reader->head, FIELD_SIZE, &reader->left))
		return wrong(err, "not the header of a file");
	if (name < 2 || name > NEWC_NAME_MAXIMUM + 1)
		return wrong(err, "the length of a name is none");
	reader->head_length = filled(NEWC_HEADER + (size_t)name);
	reader->padding = newc_padding(reader->left);
	return 0;
}

/* Name and padding are there. */
static int begin(struct newc_reader *reader, const struct newc_taker *taker, struct err *err)
{
	const char *name = reader->head + NEWC_HEADER;
	int64_t length;

	if (!field(reader->head, FIELD_NAME, &length) || strnlen(name, reader->head_length - NEWC_HEADER) != (size_t)length - 1)
		return wrong(err, "a name has not the length that is said");
	for (size_t i = NEWC_HEADER + (size_t)length; i < reader->head_length; i++)
		if (reader->head[i])
			return wrong(err, "a name is not filled up with zeros");
	reader->have = 0;
	if (strcmp(name, NEWC_TRAILER) == 0) {
		reader->ended = true;
		return reader->left ? wrong(err, "bytes after the end") : 0;
	}
	reader->inside = true;
	return taker->begin(taker->cookie, name, reader->left, err);
}

static size_t take_head(struct newc_reader *reader, const char *bytes, size_t length)
{
	size_t wanted = (reader->have < NEWC_HEADER ? NEWC_HEADER : reader->head_length) - reader->have;

	if (wanted > length)
		wanted = length;
	memcpy(reader->head + reader->have, bytes, wanted);
	reader->have += wanted;
	return wanted;
}

static int head_done(struct newc_reader *reader, const struct newc_taker *taker, struct err *err)
{
	if (reader->have == NEWC_HEADER && measure(reader, err) < 0)
		return -1;
	if (reader->have >= NEWC_HEADER && reader->have == reader->head_length)
		return begin(reader, taker, err);
	return 0;
}

/* Inside of a file whose bytes and padding are over. */
static int finish(struct newc_reader *reader, const struct newc_taker *taker, struct err *err)
{
	if (reader->left || reader->padding)
		return 0;
	reader->inside = false;
	return taker->end(taker->cookie, err);
}

int newc_read(struct newc_reader *reader, const struct newc_taker *taker, const void *bytes, size_t length, struct err *err)
{
	const char *at = bytes;
	size_t used;

	for (; length > 0; at += used, length -= used) {
		int rc;

		if (reader->ended) {
			return wrong(err, "bytes after the end");
		} else if (!reader->inside) {
			used = take_head(reader, at, length);
			rc = head_done(reader, taker, err);
			if (rc == 0 && reader->inside)
				rc = finish(reader, taker, err);
		} else if (reader->left > 0) {
			used = (int64_t)length < reader->left ? length : (size_t)reader->left;
			reader->left -= (int64_t)used;
			rc = taker->bytes(taker->cookie, at, used, err);
			if (rc == 0)
				rc = finish(reader, taker, err);
		} else {
			used = 1;
			reader->padding--;
			rc = *at ? wrong(err, "a file is not filled up with zeros") : finish(reader, taker, err);
		}
		if (rc < 0)
			return -1;
	}
	return 0;
}
