#include "launchpad/launchpad_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/file.h"
#include "forge/launchpad.h"

#define MAGIC "byoci-answer-1 "
#define HEAD_MAXIMUM 1024 /* magic, digest, tag */
#define WAIT_MAXIMUM 64

static const char *digest_of(struct arena *arena, const struct launchpad_memory *memory, const char *url,
	const struct launchpad_answer *answer)
{
	struct buf text;
	char digest[CRYPTO_SHA256_HEX];

	buf_init(&text, LAUNCHPAD_MEMORY_MAXIMUM * 2);
	if (buf_printf(&text, "%s\n%s\n%s\n", memory->who ? memory->who : "", url, answer->tag) < 0 ||
		buf_add(&text, answer->body, answer->length) < 0)
		buf_clear(&text);
	crypto_sha256(text.data ? text.data : "", text.length, digest);
	buf_release(&text);
	return arena_strdup(arena, digest);
}

/* Where answers of that address are: some share a place. */
static const char *place_of(const struct launchpad_memory *memory, struct arena *arena, const char *url)
{
	char digest[CRYPTO_SHA256_HEX];

	_Static_assert(LAUNCHPAD_MEMORY_PLACES == 16 * 16 * 16, "three digits of the digest");
	crypto_sha256(url, strlen(url), digest);
	return arena_printf(arena, "%s/%.3s", memory->folder, digest);
}

void launchpad_memory_recall(
	const struct launchpad_memory *memory, struct arena *arena, const char *url, struct launchpad_answer *answer)
{
	struct launchpad_answer found = {.tag = NULL};
	struct err ignored;
	char *text, *digest, *end;
	size_t length;

	*answer = found;
	if (!memory->folder)
		return;
	text = file_read(arena, place_of(memory, arena, url), LAUNCHPAD_MEMORY_MAXIMUM + HEAD_MAXIMUM, &length, &ignored);
	end = text ? memchr(text, '\n', length) : NULL;
	if (!end || strncmp(text, MAGIC, strlen(MAGIC)) != 0)
		return;
	*end = '\0';
	digest = text + strlen(MAGIC);
	if (strlen(digest) < CRYPTO_SHA256_HEX)
		return;
	digest[CRYPTO_SHA256_HEX - 1] = '\0';
	found = (struct launchpad_answer){
		.tag = digest + CRYPTO_SHA256_HEX, .body = end + 1, .length = length - (size_t)(end + 1 - text)};
	if (strcmp(digest_of(arena, memory, url, &found), digest) == 0)
		*answer = found;
}

static void write_file(const struct launchpad_memory *memory, const char *path, const struct buf *text)
{
	struct err ignored;

	if (mkdir(memory->folder, 0700) == 0 || access(memory->folder, W_OK) == 0)
		file_write(path, text->data, text->length, 0600, &ignored);
}

/* A tag that can stand in a header again. */
static int is_tag(const char *tag)
{
	size_t length = strlen(tag);

	for (const char *at = tag; *at; at++)
		if (*at < ' ' || *at > '~')
			return 0;
	return length > 0 && length < HEAD_MAXIMUM / 2;
}

void launchpad_memory_keep(const struct launchpad_memory *memory, const char *url, const struct launchpad_answer *answer)
{
	struct arena *arena = arena_new();
	struct buf text;

	buf_init(&text, LAUNCHPAD_MEMORY_MAXIMUM + HEAD_MAXIMUM);
	if (memory->folder && is_tag(answer->tag) && answer->length <= LAUNCHPAD_MEMORY_MAXIMUM &&
		buf_printf(&text, MAGIC "%s %s\n", digest_of(arena, memory, url, answer), answer->tag) == 0 &&
		buf_add(&text, answer->body, answer->length) == 0)
		write_file(memory, place_of(memory, arena, url), &text);
	buf_release(&text);
	arena_free(arena);
}

/* The file has two times: when it was written, and until when. */
int launchpad_memory_wait(const struct launchpad_memory *memory, int64_t now)
{
	struct arena *arena = arena_new();
	struct err ignored;
	int64_t made = 0, until = 0;
	const char *text =
		memory->folder ? file_read(arena, arena_printf(arena, "%s/wait", memory->folder), WAIT_MAXIMUM, NULL, &ignored) : NULL;
	bool good = text && sscanf(text, "%" SCNd64 " %" SCNd64, &made, &until) == 2 && made <= now && now < until &&
		until - made <= LAUNCHPAD_WAIT_MAXIMUM * INT64_C(1000);

	arena_free(arena);
	return good ? (int)((until - now + 999) / 1000) : 0;
}

void launchpad_memory_set_wait(const struct launchpad_memory *memory, int64_t now, int seconds)
{
	struct arena *arena = arena_new();
	struct buf text;

	buf_init(&text, WAIT_MAXIMUM);
	if (memory->folder && buf_printf(&text, "%" PRId64 " %" PRId64 "\n", now, now + seconds * INT64_C(1000)) == 0)
		write_file(memory, arena_printf(arena, "%s/wait", memory->folder), &text);
	buf_release(&text);
	arena_free(arena);
}
