#include "forge/sshkey.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/crypto.h"

#define NAME_MAXIMUM 64
#define NAMESPACES "namespaces=\""

static const char *const types[] = {
	"ssh-ed25519",
	"ecdsa-sha2-nistp256",
	"ecdsa-sha2-nistp384",
	"ecdsa-sha2-nistp521",
	"ssh-rsa",
	"sk-ssh-ed25519@openssh.com",
	"sk-ecdsa-sha2-nistp256@openssh.com",
};

/* Words of a line: blanks between them. */
struct words {
	const char *at;
	size_t left;
};

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

/* Blanks within quotes do not end a word: options. */
static bool take(struct words *words, const char **word, size_t *length)
{
	bool quoted = false;

	while (words->left && is_blank(*words->at))
		words->at++, words->left--;
	*word = words->at;
	for (; words->left && (quoted || !is_blank(*words->at)); words->at++, words->left--)
		quoted ^= *words->at == '"';
	*length = (size_t)(words->at - *word);
	return *length > 0 && !quoted;
}

static bool is(const char *word, size_t length, const char *text)
{
	return length == strlen(text) && memcmp(word, text, length) == 0;
}

static const char *type_of(const char *word, size_t length)
{
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (is(word, length, types[i]))
			return types[i];
	return NULL;
}

/* The bytes say the same type, and more than that. */
static bool holds(struct arena *arena, const char *type, const char *base64)
{
	size_t length = 0, named = strlen(type);
	const unsigned char *bytes = (const unsigned char *)crypto_unbase64(arena, base64, &length);

	if (!bytes || length <= 4 + named)
		return false;
	return ((size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3]) == named &&
		memcmp(bytes + 4, type, named) == 0;
}

static const char *key_of(struct arena *arena, struct words words)
{
	const char *word, *type, *base64;
	size_t length;

	if (!take(&words, &word, &length) || !(type = type_of(word, length)) || !take(&words, &word, &length))
		return NULL;
	if (memchr(word, '\0', length))
		return NULL;
	base64 = arena_memdup(arena, word, length);
	return holds(arena, type, base64) ? arena_printf(arena, "%s %s", type, base64) : NULL;
}

/* Without the end of the line. */
static struct words words_of(const char *line, size_t length)
{
	if (length && line[length - 1] == '\r')
		length--;
	return (struct words){line, length <= SSHKEY_LENGTH ? length : 0};
}

const char *sshkey_of_line(struct arena *arena, const char *line, size_t length)
{
	return key_of(arena, words_of(line, length));
}

/* Names with commas between them; a pattern is nobody's name. */
static bool names(const char *list, size_t length, const char *who)
{
	while (length) {
		const char *comma = memchr(list, ',', length);
		size_t one = comma ? (size_t)(comma - list) : length;

		if (is(list, one, who))
			return true;
		length -= comma ? one + 1 : one;
		list += one + 1;
	}
	return false;
}

const char *sshkey_of_signer(struct arena *arena, const char *line, size_t length, const char *who)
{
	struct words words = words_of(line, length), rest;
	const char *word;
	size_t some;

	if (!take(&words, &word, &some) || !names(word, some, who))
		return NULL;
	rest = words;
	if (!take(&rest, &word, &some))
		return NULL;
	if (some > strlen(NAMESPACES) && memcmp(word, NAMESPACES, strlen(NAMESPACES)) == 0 &&
		memchr(word + strlen(NAMESPACES), '"', some - strlen(NAMESPACES)) == word + some - 1)
		words = rest;
	return key_of(arena, words);
}

const char *const *sshkey_list(struct arena *arena, const char *text, size_t length, const char *who)
{
	const char **keys = arena_alloc(arena, (SSHKEY_MAXIMUM + 1) * sizeof *keys);
	size_t count = 0;

	while (length && count < SSHKEY_MAXIMUM) {
		const char *end = memchr(text, '\n', length);
		size_t one = end ? (size_t)(end - text) : length;
		const char *key = who ? sshkey_of_signer(arena, text, one, who) : sshkey_of_line(arena, text, one);

		if (key)
			keys[count++] = key;
		length -= end ? one + 1 : one;
		text += end ? one + 1 : one;
	}
	return keys;
}

bool sshkey_owner_valid(const char *name)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@+-";
	size_t length = strspn(name, all);

	return length > 0 && length <= NAME_MAXIMUM && !name[length] && strchr(first, *name) && !strstr(name, "..");
}

void sshkey_fingerprint(struct arena *arena, const char *key, char out[static SSHKEY_FINGERPRINT])
{
	const char *blank = strchr(key, ' ');
	size_t length = 0;
	const char *bytes = blank ? crypto_unbase64(arena, blank + 1, &length) : NULL;
	unsigned char digest[CRYPTO_DIGEST_MAXIMUM];
	size_t size;
	char *text;

	snprintf(out, SSHKEY_FINGERPRINT, "?");
	if (!bytes)
		return;
	size = crypto_digest("SHA256", bytes, length, digest);
	text = crypto_base64(arena, digest, size);
	text[strcspn(text, "=")] = '\0';
	snprintf(out, SSHKEY_FINGERPRINT, "SHA256:%s", text);
}
