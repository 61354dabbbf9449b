#include "master/verdict.h"

#include <stdlib.h>
#include <string.h>

#include "base/jsonget.h"

enum { NODES = 2000000 };

json_t *verdict_json(const struct http_reply *reply, struct err *err)
{
	const char *body = reply->body + strspn(reply->body, " \t\r\n");

	if (*body == '<') {
		err_set(err, ERR_INPUT, "a page where JSON was asked for: is the master's address right, and is it a proxy that answers?");
		return NULL;
	}
	return jsonget_parse_last(reply->body, reply->length, NODES, err);
}

static const struct {
	unsigned status;
	enum err_kind kind;
	const char *remedy;
} refusals[] = {
	{400, ERR_INPUT, "the master does not take it: byoci jenkins sync makes its jobs right"},
	{401, ERR_REFUSED, "the master does not know us: are master.user and the file master.secret right?"},
	{403, ERR_REFUSED, "we may not do that there, or are not known: are master.user and the file master.secret right, and what may that "
		"user do?"},
	{404, ERR_NOT_FOUND, "it is not there, or we may not see it: byoci jenkins sync makes jobs; are master.url, master.folder and "
		"master.user right?"},
	{405, ERR_INPUT, "the master does not take a POST there: is its address right, and is it a proxy that answers?"},
	{409, ERR_BUSY, "it is disabled: enable it on the master, or run byoci jenkins sync"},
	{413, ERR_FULL, "the request is too large for the master, or for a proxy before it"},
	{414, ERR_FULL, "the request is too large for the master, or for a proxy before it"},
	{500, ERR_SYSTEM, "the master failed: its log says why; jobs without parameters are made right by byoci jenkins sync"},
};

int verdict_refusal(const char *url, const struct http_reply *reply, const char *what, struct err *err)
{
	const char *remedy = "is the master's address right, and is it a proxy that answers?";
	enum err_kind kind = reply->status >= 500 || reply->status == 429 ? ERR_NETWORK : ERR_INPUT;

	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
		if (refusals[i].status == reply->status) {
			remedy = refusals[i].remedy;
			kind = refusals[i].kind;
		}
	return err_set(err, kind, "%s%.200s: %u: %s", url, what, reply->status, remedy);
}

int verdict_login(const char *url, const struct http_reply *reply, struct err *err)
{
	struct arena *arena = arena_new();
	const char *location = reply->status >= 300 && reply->status < 400 ? http_header(reply, arena, "Location") : NULL;
	const char *page = location ? strstr(location, "/login") : NULL;
	int done = 0;

	if (page)
		page += strlen("/login") + (strncmp(page, "/loginEntry", 11) == 0 ? strlen("Entry") : 0);
	if (page && strchr("?#", *page)) /* or at its end: what is only named so goes on */
		done = err_set(
			err, ERR_REFUSED, "%s: it sends us to a page to log in at: are master.user and the file master.secret right?", url);
	arena_free(arena);
	return done;
}

int64_t verdict_item(const char *location)
{
	static const char before[] = "/queue/item/";
	const char *at = NULL;
	char *end;
	long long id;

	for (const char *next = location; (next = strstr(next, before)); next++)
		at = next + strlen(before);
	if (!at || *at < '0' || *at > '9' || strspn(at, "0123456789") > 18)
		return 0;
	id = strtoll(at, &end, 10);
	return strcmp(end, "") == 0 || strcmp(end, "/") == 0 ? id : 0;
}

/* A status with its own verdict; all others in a hundred have that of the hundred. */
static const struct {
	unsigned status;
	enum verdict verdict;
} triggers[] = {
	{201, VERDICT_QUEUED},
	{303, VERDICT_QUEUED}, /* the same was queued already: it has our nonce, so it is ours */
	{429, VERDICT_LATER},
	{200, VERDICT_DOUBT},
	{300, VERDICT_TAKEN},
	{400, VERDICT_REFUSED},
	{500, VERDICT_DOUBT},
};

static enum verdict verdict_of(unsigned status)
{
	for (size_t i = 0; i < sizeof triggers / sizeof triggers[0]; i++)
		if (triggers[i].status == status || (triggers[i].status % 100 == 0 && triggers[i].status / 100 == status / 100))
			return triggers[i].verdict;
	return VERDICT_DOUBT;
}

enum verdict verdict_trigger(const char *url, const struct http_reply *reply, const char *job, int64_t *item, struct err *err)
{
	struct arena *arena = arena_new();
	const char *location = http_header(reply, arena, "Location");
	enum verdict verdict = verdict_of(reply->status);
	int64_t id = location ? verdict_item(location) : 0;

	if (verdict == VERDICT_QUEUED && id > 0)
		*item = id;
	else if (verdict == VERDICT_QUEUED)
		verdict = VERDICT_TAKEN;
	else if (verdict == VERDICT_TAKEN && verdict_login(url, reply, err) < 0)
		verdict = VERDICT_REFUSED;
	else if (verdict != VERDICT_TAKEN)
		verdict_refusal(url, reply, job, err);
	arena_free(arena);
	return verdict;
}
