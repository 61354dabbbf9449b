#include "intake/hook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "forge/dialect.h"
#include "intake/secret.h"
#include "loop/httpd.h"

enum {
	WORD_MAXIMUM = 128,                      /* bytes of an event's kind and key */
	UNVERIFIED_MAXIMUM = 256 * 1024 * 1024,  /* bytes, of all requests together */
	FLUSH_MS = 1000
};

/* Counted apart; every other status is our own trouble and in the log. */
static const unsigned refused_statuses[] = {400, 401, 404, 405, 415};
enum { REFUSED_STATUSES = sizeof refused_statuses / sizeof refused_statuses[0] };

struct refused {
	int64_t count;
	char reason[128];
};

struct account {
	const char *name; /* "" : requests for none that is configured */
	const struct dialect *dialect;
	struct secret_pair *secrets;
	struct refused refused[REFUSED_STATUSES];
};

struct hook {
	struct brain *brain;
	struct arena *arena;
	struct httpd *httpd;
	struct account *accounts; /* the first is "" */
	size_t count;
	struct loop_source *flush;
};

/* One request, until it is gone and its row is kept or lost. */
struct post {
	struct hook *hook;
	struct httpd_request *request; /* NULL: gone */
	struct account *account;
	struct secret_check *check;
	int64_t heard, delivery;
	bool pending; /* its turn is not over */
};

static void on_flush(void *cookie)
{
	struct hook *hook = cookie;
	struct err err = {.kind = ERR_NONE};
	int64_t now = clock_wall_ms();

	hook->flush = NULL;
	if (brain_begin(hook->brain, &err) < 0)
		goto err0;
	for (size_t i = 0; i < hook->count; i++)
		for (int at = 0; at < REFUSED_STATUSES; at++) {
			struct refused *refused = &hook->accounts[i].refused[at];

			if (!refused->count)
				continue;
			if (store_run(hook->brain->store, STORE_REFUSAL_COUNT, &err, STORE_TEXT(hook->accounts[i].name),
				STORE_INTEGER(refused_statuses[at]), STORE_TEXT(refused->reason), STORE_INTEGER(refused->count),
				STORE_INTEGER(now)) < 0)
				goto err0;
			refused->count = 0;
		}
	return;
err0:
	log_error(LOG_WHAT("refusals not counted"), LOG_ERR(&err));
}

static void refuse(struct hook *hook, struct account *account, struct httpd_request *request, unsigned status, const char *reason)
{
	static const struct httpd_field allow[] = {{"Allow", "POST"}, {NULL, NULL}};
	char body[512];

	for (int at = 0; at < REFUSED_STATUSES; at++)
		if (refused_statuses[at] == status) {
			account->refused[at].count++;
			snprintf(account->refused[at].reason, sizeof account->refused[at].reason, "%s", reason);
		}
	if (!hook->flush)
		hook->flush = loop_after(hook->brain->loop, FLUSH_MS, on_flush, hook);
	if (status == 405) {
		int length = snprintf(body, sizeof body, "{\"error\":\"%s\"}", reason);

		httpd_answer(request, status, "application/json", allow, body, (size_t)length);
	} else {
		httpd_answer_error(request, status, reason);
	}
}

static void free_post(struct post *post)
{
	if (post->request || post->pending)
		return;
	secret_end(post->check);
	free(post);
}

/* "/hook/DIALECT" and "/hook/DIALECT/ACCOUNT". NULL: not such a path, or none that is configured. */
static struct account *find_account(struct hook *hook, const char *path)
{
	const char *dialect, *name;
	size_t length;

	if (strncmp(path, "/hook/", 6) != 0)
		return NULL;
	dialect = path + 6;
	length = strcspn(dialect, "/");
	name = dialect[length] == '/' ? dialect + length + 1 : dialect;
	for (size_t i = 1; i < hook->count; i++) {
		struct account *account = &hook->accounts[i];

		if (strcmp(account->name, name) == 0 && strlen(account->dialect->name) == length &&
			strncmp(account->dialect->name, dialect, length) == 0)
			return account;
	}
	return NULL;
}

static bool is_json(const char *type)
{
	static const char json[] = "application/json";

	return type && strncasecmp(type, json, sizeof json - 1) == 0 && strchr("; \t", type[sizeof json - 1]);
}

static bool good_word(const char *word)
{
	size_t length = strlen(word);

	for (size_t i = 0; i < length; i++)
		if (word[i] < ' ' || word[i] > '~')
			return false;
	return length <= WORD_MAXIMUM;
}

/* What can be said before the body is there: 0, or the status and reason to refuse with. */
static unsigned look(const struct account *account, const struct httpd_request *request, const char **reason)
{
	const char *kind, *key;

	if (strcmp(httpd_method(request), "POST") != 0) {
		*reason = "a hook is a POST";
		return 405;
	}
	if (!is_json(httpd_header(request, "Content-Type"))) {
		*reason = "Content-Type must be application/json: set it in the forge's hook settings";
		return 415;
	}
	kind = httpd_header(request, account->dialect->event_header);
	key = httpd_header(request, account->dialect->delivery_header);
	if (!kind || !*kind) {
		*reason = "not a hook of this forge: its event header is missing";
		return 400;
	}
	if (!good_word(kind) || (key && !good_word(key))) {
		*reason = "not a hook of this forge: its event or delivery header is not a short word";
		return 400;
	}
	return 0;
}

static void on_begin(void *cookie, struct httpd_request *request)
{
	struct hook *hook = cookie;
	struct account *account = find_account(hook, httpd_path(request));
	struct err err = {.kind = ERR_NONE};
	const char *reason;
	struct post *post;
	unsigned status;

	if (!account) {
		refuse(hook, &hook->accounts[0], request, 404, "there is no such hook: /hook/DIALECT/ACCOUNT of a configured account");
		return;
	}
	status = look(account, request, &reason);
	if (status) {
		refuse(hook, account, request, status, reason);
		return;
	}
	post = calloc(1, sizeof *post);
	if (!post)
		err_fatal("out of memory");
	*post = (struct post){.hook = hook, .account = account, .heard = clock_wall_ms()};
	post->check = secret_begin(account->secrets, &account->dialect->signature,
		httpd_header(request, account->dialect->signature.header), loop_number(hook->brain->loop), &err);
	if (!post->check) {
		free(post);
		if (err.kind != ERR_REFUSED)
			log_error(LOG_WHAT("no secret for a hook"), LOG_TEXT("account", account->name), LOG_ERR(&err));
		refuse(hook, account, request, 401,
			err.kind == ERR_REFUSED ? err.text : "no secret to check it with is set for this account");
		return;
	}
	post->request = request;
	httpd_set(request, post);
}

static void on_body(void *cookie, struct httpd_request *request, const void *bytes, size_t length)
{
	struct post *post = httpd_get(request);

	(void)cookie;
	if (post && !httpd_answered(request))
		secret_add(post->check, bytes, length);
}

static void on_kept(void *cookie, bool kept)
{
	struct post *post = cookie;
	char body[64];

	post->pending = false;
	if (post->request && kept) {
		int length = snprintf(body, sizeof body, "{\"delivery\":%lld}", (long long)post->delivery);

		CRASH_POINT("intake.delivery-kept");
		httpd_answer(post->request, 202, "application/json", NULL, body, (size_t)length);
		CRASH_POINT("intake.delivery-answered");
	} else if (post->request) {
		httpd_answer_error(post->request, 503, "it could not be stored: send it again");
	}
	free_post(post);
}

static int insert(struct post *post, const void *bytes, size_t length, struct err *err)
{
	struct brain *brain = post->hook->brain;
	const struct dialect *dialect = post->account->dialect;
	const char *key = httpd_header(post->request, dialect->delivery_header);

	if (store_run(brain->store, STORE_DELIVERY_ADD, err, STORE_TEXT(dialect->name), STORE_TEXT(post->account->name),
		STORE_TEXT(httpd_header(post->request, dialect->event_header)), STORE_TEXT(key ? key : ""), STORE_INTEGER(post->heard),
		STORE_INTEGER(clock_wall_ms()), STORE_BLOB(bytes, length)) < 0)
		return -1;
	post->delivery = store_last_id(brain->store);
	return brain_tell(brain, STAGE_PROPOSAL, "delivery", post->delivery, 0, err);
}

/* One INSERT: it is done or not. */
static void keep(struct post *post, const void *bytes, size_t length)
{
	struct brain *brain = post->hook->brain;
	struct err err = {.kind = ERR_NONE};

	if (brain_begin(brain, &err) < 0)
		goto err0;
	if (insert(post, bytes, length, &err) < 0)
		goto err1;
	CRASH_POINT("intake.delivery-written");
	post->pending = true;
	brain_after(brain, on_kept, post);
	return;
err1:
	if (!store_in_transaction(brain->store)) /* a full disk ends it all */
		brain_spoil(brain);
err0:
	log_error(LOG_WHAT("a delivery could not be stored"), LOG_TEXT("account", post->account->name), LOG_ERR(&err));
	httpd_answer_error(post->request, 503, "it could not be stored: send it again");
}

static void on_end(void *cookie, struct httpd_request *request)
{
	static const char pong[] = "{\"ping\":\"heard\"}";
	struct hook *hook = cookie;
	struct post *post = httpd_get(request);
	struct err err = {.kind = ERR_NONE};
	const struct dialect *dialect;
	const void *bytes;
	size_t length;

	if (!post || httpd_answered(request))
		return;
	dialect = post->account->dialect;
	if (!secret_good(post->check)) {
		refuse(hook, post->account, request, 401, "the signature is wrong");
		return;
	}
	httpd_verified(request);
	if (dialect->ping && strcmp(httpd_header(request, dialect->event_header), dialect->ping) == 0) {
		httpd_answer(request, 200, "application/json", NULL, pong, sizeof pong - 1);
		return;
	}
	bytes = httpd_body(request, &length, &err);
	if (!bytes) {
		log_error(LOG_WHAT("a delivery could not be read"), LOG_TEXT("account", post->account->name), LOG_ERR(&err));
		httpd_answer_error(request, 503, "it could not be read: send it again");
	} else {
		keep(post, bytes, length); /* whatever it is: the proposal stage says so when it can't be understood */
	}
}

static void on_gone(void *cookie, struct httpd_request *request)
{
	struct post *post = httpd_get(request);

	(void)cookie;
	if (!post)
		return;
	post->request = NULL;
	free_post(post);
}

static int add_account(struct hook *hook, const char *name, struct err *err)
{
	const struct conf *conf = hook->brain->conf;
	const char *section = arena_printf(hook->arena, "account/%s", name), *dialect, *secret, *previous;
	struct account *account = &hook->accounts[hook->count];

	if (conf_text(conf, section, "dialect", &dialect, err) < 0 || conf_text(conf, section, "secret", &secret, err) < 0 ||
		conf_text(conf, section, "secret.previous", &previous, err) < 0)
		return -1;
	*account = (struct account){.name = arena_strdup(hook->arena, name), .dialect = dialect_find(dialect)};
	if (!account->dialect)
		return err_set(err, ERR_CONFIG, "[%s] dialect: %s is none that this byoci speaks", section, dialect);
	account->secrets = secret_new(secret, previous);
	hook->count++;
	return 0;
}

/* Every [account/…], and "git", which needs no section. */
static int add_accounts(struct hook *hook, struct err *err)
{
	const char *const *names = conf_sections(hook->brain->conf, hook->arena, "account");
	bool git = false;
	size_t count = 0;

	while (names[count])
		count++;
	hook->accounts = arena_alloc(hook->arena, (count + 2) * sizeof *hook->accounts);
	hook->accounts[0].name = "";
	hook->count = 1;
	for (size_t i = 0; i < count; i++) {
		git |= strcmp(names[i], "git") == 0;
		if (add_account(hook, names[i], err) < 0)
			return -1;
	}
	return git ? 0 : add_account(hook, "git", err);
}

static const struct httpd_handler handler = {.begin = on_begin, .body = on_body, .end = on_end, .gone = on_gone};

struct hook *hook_new(struct brain *brain, struct err *err)
{
	struct httpd_config config = {.option = "hook.listen", .unverified_maximum = UNVERIFIED_MAXIMUM,
		.uncounted_maximum = HTTPD_SPOOL_FROM};
	struct hook *hook = calloc(1, sizeof *hook);
	int64_t limit;

	if (!hook)
		err_fatal("out of memory");
	hook->brain = brain;
	hook->arena = arena_new();
	if (add_accounts(hook, err) < 0 || conf_text(brain->conf, NULL, "hook.listen", &config.listen, err) < 0 ||
		conf_integer(brain->conf, NULL, "hook.body.limit", &limit, err) < 0 ||
		conf_integer(brain->conf, NULL, "hook.deadline", &config.deadline_ms, err) < 0)
		goto err1;
	config.body_maximum = (size_t)limit;
	hook->httpd = httpd_daemon_new(brain->loop, &config, &handler, hook, err);
	if (!hook->httpd)
		goto err1;
	return hook;
err1:
	hook_free(hook);
	return NULL;
}

void hook_free(struct hook *hook)
{
	if (!hook)
		return;
	httpd_daemon_free(hook->httpd);
	loop_cancel(hook->flush);
	for (size_t i = 0; i < hook->count; i++)
		secret_free(hook->accounts[i].secrets);
	arena_free(hook->arena);
	free(hook);
}

unsigned hook_port(const struct hook *hook)
{
	return httpd_daemon_port(hook->httpd);
}
