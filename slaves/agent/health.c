#include "slaves/agent/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/jsonget.h"
#include "forge/outcome.h"
#include "loop/http.h"
#include "slaves/common/hail.h"
#include "slaves/common/output.h"
#include "slaves/common/talk.h"

#define PROBE_MS (5 * 60 * 1000) /* the daemon ends it before */
#define HEAD_MS 5000
#define TLS "https://"

struct server {
	const char *whose, *url; /* NULL: none is known */
	const char *path;        /* below the server's root */
	const char *ca;          /* of the certificates that count for it; NULL: the system's */
};

static int64_t ask_plain(const struct program *program, const struct server *server)
{
	struct hail hail = {.address = hail_address(program->arena, server->url), .path = server->path};

	return hail.address && hail_ask(&hail, program->arena) != 0 ? hail.date : 0;
}

/*
 * A certificate that is not valid yet, or not any more, says something about a clock: its own, or ours. Any other trouble is away like
 * the server.
 */
static int ask_tls(const struct program *program, const struct server *server, int64_t *date, struct err *err)
{
	const char *rest = server->url + strlen(TLS);
	const struct http_request request = {.method = "HEAD", .limit_ms = HEAD_MS, .ca = server->ca,
		.url = arena_printf(program->arena, TLS "%.*s%s", (int)strcspn(rest, "/?#"), rest, server->path)};
	struct http_reply reply;
	struct err why = {0};

	if (http_once(&request, program->arena, &reply, &why) < 0) {
		bool early = strstr(why.text, "certificate is not yet valid"), late = strstr(why.text, "certificate has expired");

		if (!early && !late)
			return 0;
		return err_set(
			err, ERR_SYSTEM, "clock: by it the %s's certificate %s", server->whose, early ? "is not valid yet" : "has expired");
	}
	const char *value = http_header(&reply, program->arena, "Date");
	*date = value ? hail_date(value) : 0;
	return 0;
}

/* One clock. A server that is away, or says no time, says nothing about ours. */
static int check_clock(const struct program *program, const struct server *server, struct err *err)
{
	int64_t limit_ms = 0, date = 0;

	if (!server->url)
		return 0;
	if (conf_integer(program->conf, NULL, "slave.clock.limit", &limit_ms, err) < 0)
		return -1;
	if (strncmp(server->url, TLS, strlen(TLS)) != 0)
		date = ask_plain(program, server);
	else if (ask_tls(program, server, &date, err) < 0)
		return -1;
	if (date == 0)
		return 0;
	long long ahead = (long long)time(NULL) - (long long)date;
	if (ahead * 1000 <= limit_ms && -ahead * 1000 <= limit_ms)
		return 0;
	return err_set(err, ERR_SYSTEM, "clock: %lld s %s the %s's", ahead < 0 ? -ahead : ahead, ahead < 0 ? "behind" : "ahead of",
		server->whose);
}

static int check_clocks(const struct program *program, struct err *err)
{
	struct server brain = {.whose = "brain", .path = "/healthz"}, master = {.whose = "master", .path = "/"};

	brain.url = program_option(program, "public.url", err);
	if (!brain.url || check_clock(program, &brain, err) < 0)
		return -1;
	if (conf_text(program->conf, NULL, "master.url", &master.url, err) < 0 ||
		conf_text(program->conf, NULL, "master.ca", &master.ca, err) < 0)
		return -1;
	if (!master.url)
		master.url = getenv("JENKINS_URL") ? getenv("JENKINS_URL") : getenv("HUDSON_URL");
	return check_clock(program, &master, err);
}

static int check_daemon(const struct program *program, struct err *err)
{
	const char *path = program_option(program, "slave.socket", err);
	json_t *request = json_pack("{s:s}", "op", "health"), *reply = path ? talk_ask(path, request, PROBE_MS, err) : NULL;
	bool well = jsonget_boolean_or(reply, "well", false);

	json_decref(request);
	if (reply && !well)
		err_set(err, ERR_SYSTEM, "%.900s", jsonget_string_or(reply, "reason", "the slave's daemon says so"));
	json_decref(reply);
	return well ? 0 : -1;
}

int health_check(const struct program *program, struct err *err)
{
	const char *slave = program_option(program, "slave.name", err);
	struct err why = {0};

	if (!slave)
		return -1;
	bool well = check_clocks(program, &why) == 0 && check_daemon(program, &why) == 0;
	printf(HEALTH_HEADER "%s %s%s%s\n", slave, well ? "well" : "unwell", well ? "" : " ",
		well ? "" : output_line(program->arena, why.text, strlen(why.text), OUTPUT_LINE / 8));
	if (fflush(stdout) != 0)
		return err_set(err, ERR_SYSTEM, "the health could not be written");
	return well ? 0 : outcome_exit(OUTCOME_INFRASTRUCTURE);
}
