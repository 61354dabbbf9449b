/*
 * login: gets an OAuth token of Launchpad for our account there, by way of its person's browser, and prints what stands in
 * SECRETS/{brain,land}/launchpad-ACCOUNT. Source: Launchpad manual, "Signing web service requests"; launchpadlib's credentials.py.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "launchpad/launchpad_rest.h"
#include "loop/http.h"
#include "verb/verb.h"

#define CONSUMER "byoci"
#define FORM "oauth_consumer_key=" CONSUMER "&oauth_signature_method=PLAINTEXT"
#define WORD 256                     /* of an answer */
#define PATIENCE_MS (15 * 60 * 1000) /* of the person */
#define PAUSE_MS 1000

struct login {
	struct arena *arena;
	const char *site, *ca;
	char token[WORD], secret[WORD];
};

/* The site that belongs to an API: "https://api.launchpad.net/devel" → "https://launchpad.net". */
static const char *site_of(struct arena *arena, const char *root, struct err *err)
{
	const char *host = strstr(root, "://");
	size_t length;

	if (!host) {
		err_set(err, ERR_CONFIG, "api.url: %s is not an address", root);
		return NULL;
	}
	host += 3;
	length = strcspn(host, "/");
	if (length > 4 && strncmp(host, "api.", 4) == 0)
		return arena_printf(arena, "%.*s%.*s", (int)(host - root), root, (int)length - 4, host + 4);
	return arena_printf(arena, "%.*s", (int)(host - root) + (int)length, root);
}

static int ask(const struct login *login, const char *page, const char *form, struct http_reply *reply, struct err *err)
{
	static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
	const char *url = arena_printf(login->arena, "%s/%s", login->site, page);
	const struct http_request request = {
		.method = "POST", .url = url, .headers = headers, .body = form, .length = strlen(form), .ca = login->ca};

	return http_once(&request, login->arena, reply, err);
}

/* NAME's value in "a=1&b=2", of letters and digits. */
static int take_word(const char *text, const char *name, char word[static WORD], struct err *err)
{
	static const char signs[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t length = strlen(name), size;

	for (const char *at = text; at; at = strchr(at, '&')) {
		at += *at == '&';
		if (strncmp(at, name, length) != 0 || at[length] != '=')
			continue;
		at += length + 1;
		size = strspn(at, signs);
		if (size == 0 || size >= WORD || (at[size] && at[size] != '&'))
			break;
		snprintf(word, WORD, "%.*s", (int)size, at);
		return 0;
	}
	return err_set(err, ERR_INPUT, "Launchpad gave no %s", name);
}

static int take_token(struct login *login, const struct http_reply *reply, struct err *err)
{
	return take_word(reply->body, "oauth_token", login->token, err) < 0 ||
		take_word(reply->body, "oauth_token_secret", login->secret, err) < 0 ? -1 : 0;
}

static int request_token(struct login *login, struct err *err)
{
	struct http_reply reply;

	if (ask(login, "+request-token", FORM "&oauth_signature=%26", &reply, err) < 0)
		return -1;
	if (reply.status != 200)
		return err_set(err, ERR_SYSTEM, "%s/+request-token: Launchpad answered %u", login->site, reply.status);
	return take_token(login, &reply, err);
}

/* 401 until the person has decided. */
static int access_token(struct login *login, struct err *err)
{
	const char *form = arena_printf(login->arena, FORM "&oauth_token=%s&oauth_signature=%%26%s", login->token, login->secret);
	int64_t end = clock_monotonic_us() / 1000 + PATIENCE_MS;
	struct http_reply reply = {.status = 401};

	while (reply.status == 401) {
		if (clock_monotonic_us() / 1000 > end)
			return err_set(err, ERR_TIMEOUT, "nobody has allowed it in a quarter of an hour");
		nanosleep(&(struct timespec){.tv_sec = PAUSE_MS / 1000}, NULL);
		if (ask(login, "+access-token", form, &reply, err) < 0)
			return -1;
	}
	if (reply.status == 403)
		return err_set(err, ERR_REFUSED, "it was declined");
	if (reply.status != 200)
		return err_set(err, ERR_SYSTEM, "%s/+access-token: Launchpad answered %u", login->site, reply.status);
	return take_token(login, &reply, err);
}

static int log_in(const struct conf *conf, const char *account, struct login *login, struct err *err)
{
	const char *section = arena_printf(login->arena, "account/%s", account), *dialect, *root, *own;

	if (conf_text(conf, section, "dialect", &dialect, err) < 0 || conf_text(conf, section, "api.url", &root, err) < 0 ||
		conf_text(conf, section, "api.ca", &login->ca, err) < 0 || conf_text(conf, section, "own.names", &own, err) < 0)
		return -1;
	if (strcmp(dialect, "launchpad") != 0)
		return err_set(err, ERR_USAGE, "[%s] is no account on Launchpad: it speaks %s", section, dialect);
	login->site = site_of(login->arena, root ? root : LAUNCHPAD_REST_ROOT, err);
	if (!login->site || request_token(login, err) < 0)
		return -1;
	fprintf(stderr, "Open this as %s, and allow it to change what is not private; this waits for it:\n"
		"%s/+authorize-token?oauth_token=%s&allow_permission=WRITE_PUBLIC\n", own ? own : "byoci's own account there", login->site,
		login->token);
	return access_token(login, err);
}

int launchpad_login_verb(const struct verb_call *call)
{
	struct login login = {.arena = arena_new()};
	const char *rest[2];
	const struct verb_option options[] = {{.name = NULL}};
	struct err err = {.kind = ERR_NONE};
	int done = verb_options(call, options, rest, 1, &err);

	if (done == 0)
		done = log_in(call->conf, rest[0] ? rest[0] : "launchpad", &login, &err);
	if (done == 0)
		printf(CONSUMER " %s %s\n", login.token, login.secret);
	arena_free(login.arena);
	return done < 0 ? verb_fail(call, &err) : 0;
}
