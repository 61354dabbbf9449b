#include "ctl/launchpad_rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "loop/http.h"

#define NODES 500000
#define REPLY_MAXIMUM ((size_t)16 * 1024 * 1024)
#define FORM_MAXIMUM ((size_t)1024 * 1024)
#define LIMIT_MS 60000
#define PAGES 1000
#define TRIES 4
#define PATIENCE_S 15 /* that we wait for, when Retry-After says so */
#define WORDS 200     /* of an error's body that people are shown */

struct launchpad_rest {
	struct arena *arena;
	const char *root;   /* without a slash at its end */
	const char *origin; /* "https://HOST/": every link begins with it */
	const char *file;   /* of the token; NULL: none */
	const char *consumer, *token, *secret;
};

/* --- the token */

static const char *token_file(const struct conf *conf, struct arena *arena, const char *account)
{
	static const char *const folders[] = {"brain", "land"};
	const char *secrets;
	struct err ignored;

	if (conf_text(conf, NULL, "secrets", &secrets, &ignored) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		const char *path = arena_printf(arena, "%s/%s/launchpad-%s", secrets, folders[i], account);

		if (access(path, R_OK) == 0)
			return path;
	}
	return NULL;
}

/* What needs no quoting in the header. */
static bool is_word(const char *text)
{
	static const char signs[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-";

	return text && *text && text[strspn(text, signs)] == '\0';
}

static int read_token(struct launchpad_rest *rest, struct err *err)
{
	char *text, *rest_of_it = NULL;

	if (!rest->file)
		return 0;
	text = file_read_secret(rest->arena, rest->file, NULL, err);
	if (!text)
		return -1;
	rest->consumer = strtok_r(text, " \t\r\n", &rest_of_it);
	rest->token = strtok_r(NULL, " \t\r\n", &rest_of_it);
	rest->secret = strtok_r(NULL, " \t\r\n", &rest_of_it);
	if (!is_word(rest->consumer) || !is_word(rest->token) || !is_word(rest->secret) || strtok_r(NULL, " \t\r\n", &rest_of_it))
		return err_set(err, ERR_CONFIG, "%s: must be three words: consumer key, token and secret of Launchpad's OAuth", rest->file);
	return 0;
}

static const char *authorization(const struct launchpad_rest *rest, struct arena *arena)
{
	char nonce[33];

	if (!rest->file)
		return NULL;
	crypto_random_hex(16, nonce);
	return arena_printf(arena,
		"Authorization: OAuth realm=\"https://api.launchpad.net/\", oauth_consumer_key=\"%s\", oauth_token=\"%s\", "
		"oauth_signature_method=\"PLAINTEXT\", oauth_signature=\"%%26%s\", oauth_timestamp=\"%lld\", oauth_nonce=\"%s\", "
		"oauth_version=\"1.0\"", rest->consumer, rest->token, rest->secret, (long long)time(NULL), nonce);
}

/* --- addresses */

static int take_root(struct launchpad_rest *rest, const char *root, struct err *err)
{
	size_t length = strlen(root);
	const char *host = strstr(root, "://"), *path;

	while (length > 0 && root[length - 1] == '/')
		length--;
	rest->root = arena_printf(rest->arena, "%.*s", (int)length, root);
	path = host ? strchr(rest->root + (host + 3 - root), '/') : NULL;
	if (!path || strncmp(root, "http", 4) != 0)
		return err_set(err, ERR_CONFIG, "api.url: %s is not the root of Launchpad's API; " LAUNCHPAD_REST_ROOT " would be", root);
	rest->origin = arena_printf(rest->arena, "%.*s", (int)(path + 1 - rest->root), rest->root);
	return 0;
}

struct launchpad_rest *launchpad_rest_new(const struct conf *conf, const char *account, struct err *err)
{
	struct launchpad_rest *rest = calloc(1, sizeof *rest);
	const char *root = NULL;

	if (!rest)
		err_fatal("out of memory");
	rest->arena = arena_new();
	rest->file = token_file(conf, rest->arena, account);
	if (conf_text(conf, arena_printf(rest->arena, "account/%s", account), "api.url", &root, err) == 0 &&
		take_root(rest, root ? root : LAUNCHPAD_REST_ROOT, err) == 0 && read_token(rest, err) == 0)
		return rest;
	launchpad_rest_free(rest);
	return NULL;
}

void launchpad_rest_free(struct launchpad_rest *rest)
{
	if (!rest)
		return;
	arena_free(rest->arena);
	free(rest);
}

/* The token goes nowhere else than to the API's own host, whatever an answer says. */
static const char *address_of(const struct launchpad_rest *rest, struct arena *arena, const char *link, struct err *err)
{
	if (!strstr(link, "://"))
		return arena_printf(arena, "%s/%s", rest->root, link);
	if (strncmp(link, rest->origin, strlen(rest->origin)) == 0)
		return arena_strdup(arena, link);
	err_set(err, ERR_INPUT, "the API gave an address that leads elsewhere than to %s", rest->origin);
	return NULL;
}

static void add_escaped(struct buf *form, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-";

	for (; *text; text++)
		if (strchr(plain, *text) ? buf_add(form, text, 1) < 0 : buf_printf(form, "%%%02X", (unsigned char)*text) < 0)
			err_fatal("a form over its size");
}

static void add_value(struct buf *form, const struct launchpad_rest_value *value)
{
	json_t *json = value->choice ? NULL : json_string(value->value);
	char *quoted = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;

	if (buf_printf(form, "&%s=", value->name) < 0)
		err_fatal("a form over its size");
	add_escaped(form, quoted ? quoted : value->value);
	free(quoted);
	json_decref(json);
}

char *launchpad_rest_form(struct arena *arena, const char *operation, const struct launchpad_rest_value *values)
{
	struct buf form;
	char *text;

	buf_init(&form, FORM_MAXIMUM);
	if (buf_printf(&form, "ws.op=%s", operation) < 0)
		err_fatal("a form over its size");
	for (; values && values->name; values++)
		if (values->value)
			add_value(&form, values);
	text = arena_memdup(arena, form.data, form.length);
	buf_release(&form);
	return text;
}

/* --- requests */

/* The beginning of an error's words, on one line. */
static const char *words_of(struct arena *arena, const struct http_reply *reply)
{
	char *words = arena_printf(arena, "%.*s", WORDS, reply->body ? reply->body : "");

	for (char *at = words; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = ' ';
	return words;
}

static const enum err_kind kinds[] = {[1] = ERR_SYSTEM, [3] = ERR_REFUSED, [4] = ERR_NOT_FOUND, [9] = ERR_MOVED, [10] = ERR_NOT_FOUND,
	[12] = ERR_MOVED, [29] = ERR_NETWORK};

static int failed(const struct launchpad_rest *rest, struct arena *arena, const struct http_reply *reply, const char *link, struct err *err)
{
	unsigned below = reply->status >= 400 ? reply->status - 400 : 0;
	enum err_kind kind = below < sizeof kinds / sizeof kinds[0] ? kinds[below] : ERR_SYSTEM;
	const char *words = words_of(arena, reply);

	if (reply->status == 401)
		return err_set(err, kind, "Launchpad answered 401 for %.300s: it does not take %s, or that person may not: %s", link,
			rest->file ? rest->file : "a request without a token", words);
	if (reply->status >= 500)
		kind = ERR_NETWORK;
	return err_set(err, kind ? kind : ERR_SYSTEM, "Launchpad answered %u for %.300s: %s", reply->status, link, words);
}

struct question {
	const char *method, *link, *form;
};

static int once(const struct launchpad_rest *rest, struct arena *arena, const struct question *question, struct http_reply *reply,
	struct err *err)
{
	const char *url = address_of(rest, arena, question->link, err);
	const char *headers[] = {"Accept: application/json", "Content-Type: application/x-www-form-urlencoded",
		authorization(rest, arena), NULL};
	const struct http_request request = {.method = question->method,
		.url = url,
		.headers = headers,
		.body = question->form,
		.length = question->form ? strlen(question->form) : 0,
		.limit_ms = LIMIT_MS,
		.maximum = REPLY_MAXIMUM};

	if (!url)
		return -1;
	if (http_once(&request, arena, reply, err) < 0)
		return err->kind == ERR_TIMEOUT ? err_set(err, ERR_NETWORK, "Launchpad did not answer for %.300s in time", url) : -1;
	if (reply->status < 200 || reply->status > 299)
		return failed(rest, arena, reply, url, err);
	return 0;
}

/* How long to wait before the same is asked again; -1: not worth it. `reply` has no status when there was no answer. */
static long pause_ms(struct arena *arena, const struct http_reply *reply, int tried)
{
	const char *after = reply->status ? http_header(reply, arena, "Retry-After") : NULL;
	long seconds = after ? strtol(after, NULL, 10) : 0;

	if (tried + 1 >= TRIES || seconds > PATIENCE_S)
		return -1;
	return seconds > 0 ? seconds * 1000 : 250L << tried;
}

json_t *launchpad_rest_get(const struct launchpad_rest *rest, const char *link, struct err *err)
{
	struct arena *arena = arena_new();
	const struct question question = {.method = "GET", .link = link};
	struct http_reply reply;
	json_t *json = NULL;

	for (int tried = 0;; tried++) {
		reply = (struct http_reply){.status = 0};
		err_clear(err);
		if (once(rest, arena, &question, &reply, err) == 0) {
			json = jsonget_parse(reply.body, reply.length, NODES, err);
			break;
		}
		long wait = err->kind == ERR_NETWORK ? pause_ms(arena, &reply, tried) : -1;
		if (wait < 0)
			break;
		nanosleep(&(struct timespec){.tv_sec = wait / 1000, .tv_nsec = wait % 1000 * 1000000}, NULL);
	}
	arena_free(arena);
	if (json && !json_is_object(json)) {
		json_decref(json);
		json = NULL;
		err_set(err, ERR_INPUT, "%.300s: not an object", link);
	}
	return json;
}

json_t *launchpad_rest_all(const struct launchpad_rest *rest, const char *link, struct err *err)
{
	struct arena *arena = arena_new();
	json_t *all = json_array(), *entries;
	bool good = true;

	for (int page = 0; good && link; page++) {
		json_t *json = page < PAGES ? launchpad_rest_get(rest, link, err) : NULL;

		good = json && jsonget_array(json, "entries", &entries, err) == 0;
		link = good ? arena_strdup(arena, jsonget_string_or(json, "next_collection_link", NULL)) : NULL;
		if (good)
			json_array_extend(all, entries);
		if (page >= PAGES || json_array_size(all) > LAUNCHPAD_REST_ENTRIES) {
			err_set(err, ERR_FULL, "a collection of over %d entries", LAUNCHPAD_REST_ENTRIES);
			good = false;
		}
		json_decref(json);
	}
	arena_free(arena);
	if (good)
		return all;
	json_decref(all);
	return NULL;
}

int launchpad_rest_call(const struct launchpad_rest *rest, const char *link, const char *operation,
	const struct launchpad_rest_value *values, struct err *err)
{
	struct arena *arena = arena_new();
	const struct question question = {.method = "POST", .link = link, .form = launchpad_rest_form(arena, operation, values)};
	struct http_reply reply = {.status = 0};
	int done = once(rest, arena, &question, &reply, err);

	if (done < 0)
		err_wrap(err, "%s", operation);
	arena_free(arena);
	return done;
}
