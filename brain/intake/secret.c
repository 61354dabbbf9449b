#include "intake/secret.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/file.h"

enum { CURRENT, PREVIOUS, SECRETS, SPARES = 64 };

struct secret {
	char *path;
	char *bytes; /* NULL: none that can be used */
	size_t length;
	struct timespec changed; /* of the file that they are from */
	ino_t inode;
	unsigned generation;     /* of the bytes */
	struct crypto_hmac *spares[SPARES]; /* keyed with them, for the next requests */
	const char *digest;      /* that the spares are for */
	size_t spare_count;
};

struct secret_pair {
	struct secret secrets[SECRETS];
	uint64_t turn; /* the last one in which the files were looked at */
};

struct secret_check {
	struct secret_pair *pair;
	struct crypto_hmac *hmacs[SECRETS];
	unsigned generations[SECRETS];
	unsigned char wanted[CRYPTO_DIGEST_MAXIMUM];
	size_t wanted_length;
	const char *digest; /* NULL: a token, compared already */
	bool token;
};

static void forget(struct secret *secret)
{
	if (secret->bytes) {
		explicit_bzero(secret->bytes, secret->length);
		free(secret->bytes);
	}
	secret->bytes = NULL;
	secret->length = 0;
	secret->generation++;
	while (secret->spare_count)
		crypto_hmac_free(secret->spares[--secret->spare_count]);
}

static struct crypto_hmac *take(struct secret *secret, const char *digest, struct err *err)
{
	struct crypto_hmac *hmac;

	if (!secret->spare_count || secret->digest != digest)
		return crypto_hmac_new(digest, secret->bytes, secret->length, err);
	hmac = secret->spares[--secret->spare_count];
	crypto_hmac_again(hmac);
	return hmac;
}

static void give_back(struct secret *secret, struct crypto_hmac *hmac, unsigned generation, const char *digest)
{
	if (!hmac || generation != secret->generation || secret->spare_count == SPARES ||
		(secret->spare_count && secret->digest != digest)) {
		crypto_hmac_free(hmac);
		return;
	}
	secret->digest = digest;
	secret->spares[secret->spare_count++] = hmac;
}

struct secret_pair *secret_new(const char *current, const char *previous)
{
	struct secret_pair *pair = calloc(1, sizeof *pair);

	if (!pair)
		err_fatal("out of memory");
	pair->secrets[CURRENT].path = strdup(current);
	pair->secrets[PREVIOUS].path = previous ? strdup(previous) : NULL;
	return pair;
}

void secret_free(struct secret_pair *pair)
{
	if (!pair)
		return;
	for (int i = 0; i < SECRETS; i++) {
		forget(&pair->secrets[i]);
		free(pair->secrets[i].path);
	}
	free(pair);
}

static int load(struct secret *secret, struct err *err)
{
	struct arena *arena = arena_new();
	size_t length;
	char *bytes = file_read_secret(arena, secret->path, &length, err);

	forget(secret);
	if (bytes) {
		secret->bytes = malloc(length);
		if (!secret->bytes)
			err_fatal("out of memory");
		memcpy(secret->bytes, bytes, length);
		secret->length = length;
		explicit_bzero(bytes, length);
	}
	arena_free(arena);
	return bytes ? 0 : -1;
}

/* As the file is now. */
static int refresh(struct secret *secret, struct err *err)
{
	struct stat status;

	if (!secret->path)
		return err_set(err, ERR_NOT_FOUND, "none is configured");
	if (stat(secret->path, &status) < 0) {
		forget(secret);
		return err_set(err, ERR_NOT_FOUND, "%s is not there: byoci setup makes it", secret->path);
	}
	if (secret->bytes && status.st_ino == secret->inode && status.st_ctim.tv_sec == secret->changed.tv_sec &&
		status.st_ctim.tv_nsec == secret->changed.tv_nsec)
		return 0;
	secret->inode = status.st_ino;
	secret->changed = status.st_ctim;
	return load(secret, err);
}

/* A token is compared at once; both comparisons always take place. */
static int check_token(struct secret_check *check, const struct secret_pair *pair, const char *header, struct err *err)
{
	bool good = false;

	for (int i = 0; i < SECRETS; i++) {
		const struct secret *secret = &pair->secrets[i];

		if (secret->bytes)
			good |= crypto_equal(secret->bytes, secret->length, header, strlen(header));
	}
	check->token = good;
	return good ? 0 : err_set(err, ERR_REFUSED, "the token is wrong");
}

static int begin_hmacs(struct secret_check *check, struct secret_pair *pair, const struct dialect_signature *signature,
	const char *header, struct err *err)
{
	size_t prefix = strlen(signature->prefix);
	int length;

	if (strncmp(header, signature->prefix, prefix) != 0)
		return err_set(err, ERR_REFUSED, "%s does not begin with \"%s\"", signature->header, signature->prefix);
	length = crypto_unhex(header + prefix, strlen(header + prefix), check->wanted, sizeof check->wanted);
	if (length <= 0)
		return err_set(err, ERR_REFUSED, "%s is not a signature in hex", signature->header);
	check->wanted_length = (size_t)length;
	for (int i = 0; i < SECRETS; i++) {
		struct secret *secret = &pair->secrets[i];

		if (!secret->bytes)
			continue;
		check->generations[i] = secret->generation;
		check->hmacs[i] = take(secret, signature->digest, err);
		if (!check->hmacs[i])
			return -1;
	}
	return 0;
}

/* 0: at least one can be used. What there is was looked at in this turn. */
static int look(struct secret_pair *pair, uint64_t turn, struct err *err)
{
	struct err ignored;
	bool current, previous;

	if (turn && turn == pair->turn && pair->secrets[CURRENT].bytes)
		return 0;
	pair->turn = turn;
	current = refresh(&pair->secrets[CURRENT], err) == 0;
	previous = refresh(&pair->secrets[PREVIOUS], &ignored) == 0;
	return current || previous ? 0 : -1;
}

struct secret_check *secret_begin(struct secret_pair *pair, const struct dialect_signature *signature, const char *header,
	uint64_t turn, struct err *err)
{
	struct secret_check *check;
	int begun;

	if (look(pair, turn, err) < 0)
		return NULL;
	if (!header || !*header) {
		err_set(err, ERR_REFUSED, "it is not signed: no %s", signature->header);
		return NULL;
	}
	check = calloc(1, sizeof *check);
	if (!check)
		err_fatal("out of memory");
	check->pair = pair;
	check->digest = signature->digest;
	begun = signature->digest ? begin_hmacs(check, pair, signature, header, err) : check_token(check, pair, header, err);
	if (begun == 0)
		return check;
	secret_end(check);
	return NULL;
}

void secret_add(struct secret_check *check, const void *bytes, size_t length)
{
	for (int i = 0; i < SECRETS; i++)
		if (check->hmacs[i])
			crypto_hmac_add(check->hmacs[i], bytes, length);
}

bool secret_good(struct secret_check *check)
{
	bool good = check->token;

	for (int i = 0; i < SECRETS; i++) {
		unsigned char digest[CRYPTO_DIGEST_MAXIMUM];

		if (check->hmacs[i])
			good |= crypto_equal(digest, crypto_hmac_end(check->hmacs[i], digest), check->wanted, check->wanted_length);
	}
	return good;
}

void secret_end(struct secret_check *check)
{
	if (!check)
		return;
	for (int i = 0; i < SECRETS; i++)
		give_back(&check->pair->secrets[i], check->hmacs[i], check->generations[i], check->digest);
	free(check);
}
