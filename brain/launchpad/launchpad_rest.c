#include "launchpad/launchpad_rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "forge/launchpad.h"
#include "launchpad/launchpad_memory.h"
#include "loop/http.h"

#define NODES 500000
#define REPLY_MAXIMUM ((size_t)16 * 1024 * 1024)
#define FORM_MAXIMUM ((size_t)1024 * 1024)
#define LIMIT_MS 60000
#define PAGES 1000
#define TRIES 4
#define PATIENCE_S 2 /* that we wait for here, when Retry-After says so; who calls waits longer */
#define WORDS 200     /* of an error's body that people are shown */

struct launchpad_rest {
	struct arena *arena;
	const char *root;   /* without a slash at its end */
	const char *origin; /* "https://HOST/": every link begins with it */
	const char *file;   /* of the token; NULL: none */
	const char *consumer, *token, *secret;
	const char *ca; /* NULL: the system's */
	struct launchpad_memory memory;
	bool anew; /* answers of earlier do not count */
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

/* Where our own user keeps what it remembers; NULL: nowhere. */
static const char *own_folder(const struct conf *conf, struct arena *arena, const char *account)
{
	static const char *const folders[] = {"brain", "land"};
	const char *state;
	struct err ignored;
	struct stat st;

	if (conf_text(conf, NULL, "state", &state, &ignored) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		const char *path = arena_printf(arena, "%s/%s", state, folders[i]);

		if (stat(path, &st) == 0 && st.st_uid == geteuid())
			return arena_printf(arena, "%s/launchpad-%s", path, account);
	}
	return NULL;
}

struct launchpad_rest *launchpad_rest_new(const struct conf *conf, const char *account, struct err *err)
{
	struct launchpad_rest *rest = calloc(1, sizeof *rest);
	const char *root = NULL, *section;

	if (!rest)
		err_fatal("out of memory");
	rest->arena = arena_new();
	rest->file = token_file(conf, rest->arena, account);
	section = arena_printf(rest->arena, "account/%s", account);
	if (conf_text(conf, section, "api.url", &root, err) < 0 || conf_text(conf, section, "api.ca", &rest->ca, err) < 0 ||
		take_root(rest, root ? root : LAUNCHPAD_REST_ROOT, err) < 0 || read_token(rest, err) < 0) {
		launchpad_rest_free(rest);
		return NULL;
	}
	rest->memory = (struct launchpad_memory){.folder = own_folder(conf, rest->arena, account), .who = rest->token};
	return rest;
}

void launchpad_rest_anew(struct launchpad_rest *rest)
{
	rest->anew = true;
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
	const char *tag; /* of the answer that we have; NULL: none */
};

/* They said for how long, or said so before. */
static int asked_to_wait(int seconds, const char *why, struct err *err)
{
	char until[CLOCK_ISO_SIZE];

	clock_iso(clock_wall_ms() + seconds * INT64_C(1000), until);
	err_set(err, ERR_NETWORK, "Launchpad asked us to wait until %.5s UTC%s", until + strlen("2026-11-21T"), why);
	err->wait = seconds;
	return -1;
}

/* What a Retry-After means that is too long to be waited for here: everybody of our user is to know. */
static int too_busy(const struct launchpad_rest *rest, struct arena *arena, const struct http_reply *reply, const char *url,
	struct err *err)
{
	const char *after = reply->status == 429 || reply->status == 503 ? http_header(reply, arena, "Retry-After") : NULL;
	int seconds = after ? launchpad_wait(after, clock_wall_ms() / 1000) : 0;

	if (seconds <= PATIENCE_S)
		return failed(rest, arena, reply, url, err);
	launchpad_memory_set_wait(&rest->memory, clock_wall_ms(), seconds);
	return asked_to_wait(seconds, arena_printf(arena, ": it answered %u for %.300s", reply->status, url), err);
}

static void add_headers(
	const struct launchpad_rest *rest, struct arena *arena, const struct question *question, const char **headers)
{
	const char *authorized = authorization(rest, arena);

	if (authorized)
		*headers++ = authorized;
	if (question->tag)
		*headers++ = arena_printf(arena, "If-None-Match: %s", question->tag);
}

static int once(const struct launchpad_rest *rest, struct arena *arena, const struct question *question, struct http_reply *reply,
	struct err *err)
{
	const char *url = address_of(rest, arena, question->link, err);
	int wait = launchpad_memory_wait(&rest->memory, clock_wall_ms());
	const char *headers[] = {"Accept: application/json", "Content-Type: application/x-www-form-urlencoded", NULL, NULL, NULL};
	const struct http_request request = {.method = question->method,
		.url = url,
		.headers = headers,
		.body = question->form,
		.length = question->form ? strlen(question->form) : 0,
		.limit_ms = LIMIT_MS,
		.ca = rest->ca,
		.maximum = REPLY_MAXIMUM};

	if (!url)
		return -1;
	if (wait > 0)
		return asked_to_wait(wait, "", err);
	add_headers(rest, arena, question, headers + 2);
	if (http_once(&request, arena, reply, err) < 0)
		return err->kind == ERR_TIMEOUT ? err_set(err, ERR_NETWORK, "Launchpad did not answer for %.300s in time", url) : -1;
	if ((reply->status >= 200 && reply->status <= 299) || (reply->status == 304 && question->tag))
		return 0;
	return too_busy(rest, arena, reply, url, err);
}

/* How long to wait before the same is asked again; -1: not worth it. `reply` has no status when there was no answer. */
static long pause_ms(struct arena *arena, const struct http_reply *reply, const struct err *err, int tried)
{
	const char *after = reply->status ? http_header(reply, arena, "Retry-After") : NULL;
	int seconds = after ? launchpad_wait(after, clock_wall_ms() / 1000) : 0;

	if (err->kind != ERR_NETWORK || err->wait || tried + 1 >= TRIES)
		return -1;
	return seconds > 0 ? seconds * 1000L : 250L << tried;
}

static bool is_json(struct arena *arena, const struct http_reply *reply)
{
	const char *type = http_header(reply, arena, "Content-Type");

	return type && strncmp(type, "application/json", strlen("application/json")) == 0;
}

/* The object in an answer, which is remembered. A page in place of it is somebody's on the way, and passes. */
static json_t *take_object(const struct launchpad_rest *rest, struct arena *arena, const struct http_reply *reply, const char *url,
	struct err *err)
{
	const char *tag = http_header(reply, arena, "ETag");
	json_t *json = jsonget_parse(reply->body, reply->length, NODES, err);

	if (!json && !is_json(arena, reply))
		err_set(err, ERR_NETWORK, "what answers %u for %.300s is not Launchpad's API: it sent no JSON: %s", reply->status, url,
			words_of(arena, reply));
	if (!json)
		return NULL;
	if (!json_is_object(json)) {
		json_decref(json);
		err_set(err, ERR_INPUT, "%.300s: not an object", url);
		return NULL;
	}
	if (tag)
		launchpad_memory_keep(
			&rest->memory, url, &(struct launchpad_answer){.tag = tag, .body = reply->body, .length = reply->length});
	return json;
}

/* Once; `known` is what we have of it. */
static json_t *get_once(const struct launchpad_rest *rest, struct arena *arena, const struct question *question,
	const struct launchpad_answer *known, struct http_reply *reply, struct err *err)
{
	*reply = (struct http_reply){.status = 0};
	err_clear(err);
	if (once(rest, arena, question, reply, err) < 0)
		return NULL;
	if (reply->status == 304)
		return jsonget_parse(known->body, known->length, NODES, err);
	return take_object(rest, arena, reply, question->link, err);
}

json_t *launchpad_rest_get(const struct launchpad_rest *rest, const char *link, struct err *err)
{
	struct arena *arena = arena_new();
	struct launchpad_answer known = {.tag = NULL};
	const char *url = address_of(rest, arena, link, err);
	struct question question = {.method = "GET", .link = url};
	struct http_reply reply;
	json_t *json = NULL;

	if (url && !rest->anew)
		launchpad_memory_recall(&rest->memory, arena, url, &known);
	question.tag = known.tag;
	for (int tried = 0; url; tried++) {
		json = get_once(rest, arena, &question, &known, &reply, err);
		long wait = json ? -1 : pause_ms(arena, &reply, err, tried);
		if (wait < 0)
			break;
		nanosleep(&(struct timespec){.tv_sec = wait / 1000, .tv_nsec = wait % 1000 * 1000000}, NULL);
	}
	arena_free(arena);
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
