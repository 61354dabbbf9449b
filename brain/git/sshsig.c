#include "git/sshsig.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/crypto.h"

#define BEGIN "-----BEGIN SSH SIGNATURE-----\n"
#define END "-----END SSH SIGNATURE-----\n"
#define MAGIC "SSHSIG"
#define KIND "ssh-ed25519"
#define KEY_SIZE 32
#define MAXIMUM 4096 /* bytes of what is signed */

/* Bytes that are taken apart. */
struct part {
	const unsigned char *at;
	size_t length;
};

static bool take(struct part *from, size_t length, struct part *out)
{
	if (length > from->length)
		return false;
	*out = (struct part){from->at, length};
	from->at += length;
	from->length -= length;
	return true;
}

static bool take_number(struct part *from, uint32_t *number)
{
	struct part part;

	if (!take(from, 4, &part))
		return false;
	*number = (uint32_t)part.at[0] << 24 | (uint32_t)part.at[1] << 16 | (uint32_t)part.at[2] << 8 | part.at[3];
	return true;
}

static bool take_string(struct part *from, struct part *out)
{
	uint32_t length;

	return take_number(from, &length) && take(from, length, out);
}

static bool is(const struct part *part, const char *text)
{
	return part->length == strlen(text) && memcmp(part->at, text, part->length) == 0;
}

/* KIND and so many bytes, nothing else: a key or a signature. */
static bool take_pair(struct part from, size_t size, struct part *out)
{
	struct part kind;

	return take_string(&from, &kind) && is(&kind, KIND) && take_string(&from, out) && out->length == size && from.length == 0;
}

/* The bytes in an armor, without its line breaks; NULL: it is none. */
static char *unarmored(struct arena *arena, const char *text, size_t *length)
{
	const char *end = strstr(text, END);
	char *digits, *to;

	if (strncmp(text, BEGIN, strlen(BEGIN)) != 0 || !end || end[strlen(END)])
		return NULL;
	text += strlen(BEGIN);
	if (end < text)
		return NULL;
	digits = to = arena_alloc(arena, (size_t)(end - text) + 1);
	for (; text < end; text++)
		if (*text != '\n')
			*to++ = *text;
	*to = '\0';
	return crypto_unbase64(arena, digits, length);
}

static int put_string(struct buf *to, const void *bytes, size_t length)
{
	const unsigned char size[4] = {
		(unsigned char)(length >> 24), (unsigned char)(length >> 16), (unsigned char)(length >> 8), (unsigned char)length};

	return buf_add(to, size, sizeof size) < 0 || buf_add(to, bytes, length) < 0 ? -1 : 0;
}

static bool verifies(const struct sshsig *signature, const struct part *hash, const struct part *key, const struct part *bytes)
{
	unsigned char digest[CRYPTO_DIGEST_MAXIMUM];
	size_t size = is(hash, "sha512") ? crypto_digest("SHA512", signature->message, signature->length, digest)
		: is(hash, "sha256") ? crypto_digest("SHA256", signature->message, signature->length, digest) : 0;
	struct crypto_key *public = crypto_key_raw(key->at, key->length);
	struct buf text;
	bool good = false;

	buf_init(&text, MAXIMUM);
	if (public && size && buf_adds(&text, MAGIC) == 0 && put_string(&text, signature->namespace, strlen(signature->namespace)) == 0 &&
		put_string(&text, "", 0) == 0 && put_string(&text, hash->at, hash->length) == 0 && put_string(&text, digest, size) == 0)
		good = crypto_verify(public, text.data, text.length, bytes->at, bytes->length);
	buf_release(&text);
	crypto_key_free(public);
	return good;
}

/* The key of a good signature, as allowed_signers has it; NULL: it is none, or another kind. */
static const char *key_of(struct arena *arena, const struct sshsig *signature)
{
	struct part all, magic, public, namespace, reserved, hash, bytes, key, sign;
	uint32_t version;
	size_t length;
	char *blob = unarmored(arena, signature->armored, &length);

	if (!blob)
		return NULL;
	all = (struct part){(const unsigned char *)blob, length};
	if (!take(&all, strlen(MAGIC), &magic) || !is(&magic, MAGIC) || !take_number(&all, &version) || version != 1 ||
		!take_string(&all, &public) || !take_string(&all, &namespace) || !take_string(&all, &reserved) || !take_string(&all, &hash) ||
		!take_string(&all, &bytes) || all.length || reserved.length || !is(&namespace, signature->namespace))
		return NULL;
	if (!take_pair(public, KEY_SIZE, &key) || !take_pair(bytes, CRYPTO_SIGNATURE_SIZE, &sign))
		return NULL;
	return verifies(signature, &hash, &key, &sign) ? crypto_base64(arena, public.at, public.length) : NULL;
}

/* The next word of a line, ended by blanks; NULL at its end. */
static char *word_of(char **line)
{
	char *word = *line + strspn(*line, " \t");

	*line = word + strcspn(word, " \t");
	if (**line)
		*(*line)++ = '\0';
	return *word ? word : NULL;
}

/* namespaces="A,B" has it, by name. */
static bool is_namespace_option(const char *option, const char *namespace)
{
	static const char head[] = "namespaces=\"";
	size_t wanted = strlen(namespace);
	const char *at = option + sizeof head - 1;

	if (strncmp(option, head, sizeof head - 1) != 0 || strpbrk(at, "*?!\\"))
		return false;
	for (; *at; at += *at == ',') {
		size_t length = strcspn(at, ",\"");

		if (length == wanted && memcmp(at, namespace, length) == 0) {
			at = strchr(at, '"');
			return at && at[1] == '\0';
		}
		at += length;
		if (*at == '"')
			return false;
	}
	return false;
}

/* The name on a line of that key; NULL: the line says more than is understood here. */
static const char *plain_name(char *line, const char *namespace, const char *key)
{
	const char *name = word_of(&line), *word = word_of(&line);

	if (!name || strpbrk(name, ",*?!\"\\") || !word)
		return NULL;
	if (strcmp(word, KIND) != 0) {
		if (!is_namespace_option(word, namespace))
			return NULL;
		word = word_of(&line);
	}
	if (!word || strcmp(word, KIND) != 0)
		return NULL;
	word = word_of(&line);
	return word && strcmp(word, key) == 0 ? name : NULL;
}

const char *sshsig_signer(struct arena *arena, const struct sshsig *signature, const char *allowed)
{
	const char *key = key_of(arena, signature), *first = NULL, *name;
	char *line, *rest = key ? arena_strdup(arena, allowed) : NULL;

	while (rest && (line = strsep(&rest, "\n"))) {
		line += strspn(line, " \t");
		if (*line == '#' || !strstr(line, key))
			continue;
		name = plain_name(line, signature->namespace, key);
		if (!name)
			return NULL;
		if (!first)
			first = name;
	}
	return first;
}
