/* The verbs that ask the brain: one line over its control socket, and a form for people. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/jsonget.h"
#include "forge/outcome.h"
#include "forge/spec.h"
#include "jobs/jenkins.h"
#include "loop/lines.h"
#include "verb/verb.h"

enum { LIMIT_MS = 30000, FOLLOW_EVERY_US = 300000 };

/* "07:05:12.345", with the date when it is not today's. */
static const char *when(int64_t ms, char out[static 32])
{
	time_t seconds = (time_t)(ms / 1000), now = (time_t)(clock_wall_ms() / 1000);
	struct tm then, today;
	size_t length;

	localtime_r(&seconds, &then);
	localtime_r(&now, &today);
	length =
		strftime(out, 32, then.tm_year == today.tm_year && then.tm_yday == today.tm_yday ? "%H:%M:%S" : "%F %H:%M:%S", &then);
	snprintf(out + length, 32 - length, ".%03d", (int)(ms % 1000));
	return out;
}

static const char *text_of(const json_t *object, const char *key)
{
	return jsonget_string_or(object, key, "-");
}

static void print_daemon(const json_t *status, const char *key, const char *name)
{
	const json_t *state = json_object_get(status, key);
	bool answers = jsonget_boolean_or(state, "answers", false);

	printf("%-11s %s %s\n", name, answers ? "answers on" : "does not answer:", text_of(state, answers ? "socket" : "why"));
}

/* Copies are listed beside what they are of. */
static const char *of_copy(const json_t *kept)
{
	return jsonget_boolean_or(kept, "copy", false) ? ", a copy that its author is in" : "";
}

/* Of the slave's: how many there are, those that are kept, and backings that are older than they should be. */
static void print_workers(const json_t *slave)
{
	const json_t *ready = json_object_get(slave, "ready"), *running = json_object_get(slave, "running"), *row;
	const json_t *kept = json_object_get(slave, "kept");
	const char *trouble = jsonget_string_or(slave, "trouble", NULL);
	char time[32];
	size_t i;

	if (kept)
		printf("workers     %zu ready, %zu running, %zu kept\n", json_array_size(ready), json_array_size(running), json_array_size(kept));
	json_array_foreach(running, i, row) printf("running     %s %s%s%s, since %s\n", text_of(row, "build"), text_of(row, "job"),
		json_object_get(row, "proposal") ? " of " : "", jsonget_string_or(row, "proposal", ""),
		when(jsonget_integer_or(row, "since", 0), time));
	json_array_foreach(kept, i, row) printf("kept        %s %s%s%s, until %s%s\n", text_of(row, "build"), text_of(row, "job"),
		json_object_get(row, "proposal") ? " of " : "", jsonget_string_or(row, "proposal", ""),
		when(jsonget_integer_or(row, "expiry", 0), time), of_copy(row));
	if (trouble)
		printf("TROUBLE     the slave's %s are not known: %s\n", kept ? "backings" : "workers", trouble);
}

static void print_backings(const json_t *slave)
{
	const json_t *row;
	char tried[32], made[32];
	size_t i;

	json_array_foreach(json_object_get(slave, "backings"), i, row) {
		int64_t then = jsonget_integer_or(row, "made", 0), last = jsonget_integer_or(row, "tried", 0);

		printf("TROUBLE     backing %s is not what it should be%s%s: %s\n", text_of(row, "name"), last ? ", tried at " : "",
			last ? when(last, tried) : "", text_of(row, "error"));
		if (then)
			printf("            used meanwhile: the one of %s; byoci-slave backing show %s\n", when(then, made), text_of(row, "name"));
		else
			printf("            there is none to use meanwhile; byoci-slave backing show %s\n", text_of(row, "name"));
	}
}

static void print_status(const json_t *reply)
{
	const json_t *row;
	char time[32];
	size_t i;

	printf("namespace   %s, version %s, since %s\n", text_of(reply, "namespace"), text_of(reply, "version"),
		when(jsonget_integer_or(reply, "since", 0), time));
	printf("deliveries  %lld\n", (long long)jsonget_integer_or(reply, "deliveries", 0));
	printf("items       %lld queued, %lld running, %lld held\n", (long long)jsonget_integer_or(reply, "queued", 0),
		(long long)jsonget_integer_or(reply, "running", 0), (long long)jsonget_integer_or(reply, "held", 0));
	print_daemon(reply, "slave", "slave");
	print_workers(json_object_get(reply, "slave"));
	print_backings(json_object_get(reply, "slave"));
	print_daemon(reply, "land", "landing");
	printf("pages       %s\n", text_of(reply, "pages"));
	jenkins_ask_print(reply);
	if (!jsonget_boolean_or(reply, "healthy", true))
		puts("TROUBLE     the state can't be written: see the log of byoci-brain");
	json_array_foreach(json_object_get(reply, "trouble"), i, row) printf("waiting     %s, attempt %lld: %s\n",
		text_of(row, "lane"), (long long)jsonget_integer_or(row, "attempts", 0), text_of(row, "why"));
	json_array_foreach(json_object_get(reply, "refused"), i, row) printf(
		"refused     %lld requests to account %s with %lld, the last at %s: %s\n", (long long)jsonget_integer_or(row, "count", 0),
		*text_of(row, "account") ? text_of(row, "account") : "(none)", (long long)jsonget_integer_or(row, "status", 0),
		when(jsonget_integer_or(row, "last", 0), time), text_of(row, "reason"));
}

static void print_queue(const json_t *reply)
{
	const json_t *targets = json_object_get(reply, "targets"), *target, *item;
	char time[32];
	size_t i, j;

	if (json_array_size(targets) == 0)
		puts("nothing is queued");
	json_array_foreach(targets, i, target) {
		printf("%s %s\n", text_of(target, "project"), text_of(target, "target"));
		json_array_foreach(json_object_get(target, "items"), j, item)
			printf("  %-24s %-9s since %s  %.12s  %s\n", text_of(item, "proposal"), text_of(item, "state"),
				when(jsonget_integer_or(item, "since", 0), time), text_of(item, "commit"), text_of(item, "why"));
	}
	if (jsonget_boolean_or(reply, "more", false))
		puts("… and more: byoci status says how many");
}

static void print_proposal(const json_t *reply)
{
	const json_t *proposal = json_object_get(reply, "proposal"), *item = json_object_get(reply, "item");

	if (!proposal)
		return;
	printf("%s of %s: %s, %.12s for %s\n%s\n", text_of(proposal, "name"), text_of(proposal, "project"),
		text_of(proposal, "state"), text_of(proposal, "head"), text_of(proposal, "target"), text_of(proposal, "url"));
	if (json_is_object(item))
		printf("%s: %s\n", text_of(item, "state"), text_of(item, "why"));
}

static void print_why(const json_t *reply)
{
	const json_t *row;
	char time[32];
	size_t i;

	print_proposal(reply);
	json_array_foreach(json_object_get(reply, "decisions"), i, row)
		printf("%s  %-8s  %s\n", when(jsonget_integer_or(row, "time", 0), time), text_of(row, "stage"), text_of(row, "text"));
	json_array_foreach(json_object_get(reply, "waiting"), i, row) printf("waiting: %s, attempt %lld: %s\n", text_of(row, "lane"),
		(long long)jsonget_integer_or(row, "attempts", 0), text_of(row, "why"));
}

static void print_build(const json_t *build)
{
	const char *reason = jsonget_string_or(build, "reason", ""), *tests = jsonget_string_or(build, "tests", NULL);

	printf("build %s: %s%s%s\n", text_of(build, "build"),
		strcmp(text_of(build, "outcome"), "-") != 0 ? text_of(build, "outcome") : text_of(build, "state"), *reason ? ": " : "", reason);
	if (tests)
		printf("  %s\n", tests);
}

/* Of one build that was asked for; they are with its slave: byoci-slave artefact BUILD PATH. */
static void print_artefacts(const json_t *build)
{
	const json_t *artefacts = json_object_get(build, "artefacts"), *row;
	int64_t count = jsonget_integer_or(artefacts, "count", 0);
	size_t i;

	if (!artefacts)
		return;
	printf("artefacts: %lld, %lld bytes\n", (long long)count, (long long)jsonget_integer_or(artefacts, "bytes", 0));
	json_array_foreach(json_object_get(artefacts, "list"), i, row)
		printf("  %.64s %12lld %s\n", text_of(row, "sha256"), (long long)jsonget_integer_or(row, "size", 0), text_of(row, "path"));
	if ((int64_t)i < count)
		puts("  … and more: byoci-slave artefact lists them all");
}

static void print_show(const json_t *reply)
{
	const json_t *row;
	char time[32];
	size_t i;

	print_proposal(reply);
	json_array_foreach(json_object_get(reply, "builds"), i, row)
		print_build(row);
	print_artefacts(json_object_get(reply, "build"));
	json_array_foreach(json_object_get(reply, "timeline"), i, row)
		printf("  %-16s %s  %8lld ms\n", text_of(row, "step"), when(jsonget_integer_or(row, "at", 0), time),
			(long long)jsonget_integer_or(row, "took", 0));
}

/* Of the workers that stay after their tests. */
static void print_kept(const json_t *reply)
{
	const json_t *kept = json_object_get(reply, "kept"), *row;
	char since[32], expiry[32];
	size_t i;

	json_array_foreach(kept, i, row) printf("%s  %s%s%s  since %s until %s%s\n", text_of(row, "build"), text_of(row, "job"),
		json_object_get(row, "proposal") ? " of " : "", jsonget_string_or(row, "proposal", ""),
		when(jsonget_integer_or(row, "since", 0), since), when(jsonget_integer_or(row, "expiry", 0), expiry), of_copy(row));
	puts(i ? "byoci-slave shell BUILD, on the slave's machine, is a shell in one; byoci discard BUILD ends one" : "no worker is kept");
}

static void print_said(const json_t *reply)
{
	puts(text_of(reply, "text"));
}

struct ask {
	const struct verb_call *call;
	int fd;
	struct lines_reader *reader;
};

/* New reference to the reply; NULL with *status, and what is wrong was said. */
static json_t *ask_brain(struct ask *ask, json_t *args, int *status)
{
	struct err err = {.kind = ERR_NONE};
	json_t *request = json_pack("{s:s, s:o}", "verb", ask->call->verb, "args", args), *answer = NULL, *reply;
	int sent = lines_call_send(ask->fd, request, &err);

	json_decref(request);
	if (sent == 0)
		answer = lines_reader_next(ask->reader, LIMIT_MS, &err);
	if (!answer) {
		if (err.kind == ERR_NONE)
			err_set(&err, ERR_NETWORK, "the brain closed the connection: may you ask it? (root, or its group)");
		*status = verb_fail(ask->call, &err);
		return NULL;
	}
	reply = json_incref(json_object_get(answer, "reply"));
	if (!reply) {
		fprintf(stderr, "byoci %s: %s\n", ask->call->verb, text_of(answer, "error"));
		*status = (int)jsonget_integer_or(answer, "exit", outcome_exit(OUTCOME_REFUSED));
	}
	json_decref(answer);
	return reply;
}

static int print_reply(const struct verb_call *call, const json_t *reply)
{
	static const struct {
		const char *verb;
		void (*print)(const json_t *reply);
	} forms[] = {{"status", print_status}, {"queue", print_queue}, {"why", print_why}, {"show", print_show},
		{"kept", print_kept}, {"keep", print_said}, {"discard", print_said}};

	if (call->json) {
		json_dumpf(reply, stdout, JSON_COMPACT);
		putchar('\n');
		return 0;
	}
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
		if (strcmp(forms[i].verb, call->verb) == 0)
			forms[i].print(reply);
	return 0;
}

static int print_log(struct ask *ask, const char *build, bool follow)
{
	int64_t offset = 0, next;
	int status = 0;
	bool ended;

	for (;;) {
		json_t *reply = ask_brain(ask, json_pack("{s:s, s:I}", "build", build, "offset", (json_int_t)offset), &status);

		if (!reply)
			return status;
		fputs(text_of(reply, "lines"), stdout);
		next = jsonget_integer_or(reply, "offset", offset);
		ended = jsonget_boolean_or(reply, "ended", true);
		json_decref(reply);
		if (next == offset && (ended || !follow))
			return 0;
		if (next == offset) {
			fflush(stdout);
			usleep(FOLLOW_EVERY_US);
		}
		offset = next;
	}
}

/* "ssh://…/sample.git#NAME" and "http://…/builds/ID", as we print them, are as good as the name. */
static const char *name_in(const char *about)
{
	const char *mark = strchr(about, '#');

	if (!strstr(about, "://"))
		return about;
	if (!mark)
		mark = strrchr(about, '/');
	return mark[1] ? mark + 1 : about;
}

/* What the verb is about: a proposal's name, a build's id, a delivery's number. */
static json_t *make_args(const char *verb, const char *words, const char *project)
{
	const char *about = words ? name_in(words) : NULL;
	bool build = about && (strcmp(verb, "keep") == 0 || strcmp(verb, "discard") == 0 ||
		(strcmp(verb, "show") == 0 && spec_build_valid(about)));

	if (!about)
		return json_object();
	if (strcmp(verb, "why") == 0 && about == words && strspn(about, "0123456789") == strlen(about) && !project)
		return json_pack("{s:I}", "delivery", (json_int_t)strtoll(about, NULL, 10));
	return json_pack("{s:s, s:s*}", build ? "build" : "proposal", about, "project", project);
}

/* The brain has one thread, and masters may be slow: they are asked from here. */
static void add_masters(const struct verb_call *call, json_t *reply)
{
	json_t *report = jenkins_report_if_any(call);

	if (report)
		json_object_set(reply, "masters", json_object_get(report, "masters"));
	json_decref(report);
}

static int run(struct ask *ask, const char *about, const char *project, bool follow)
{
	json_t *reply;
	int status = 0;

	if (strcmp(ask->call->verb, "log") == 0)
		return print_log(ask, name_in(about), follow);
	reply = ask_brain(ask, make_args(ask->call->verb, about, project), &status);
	if (!reply)
		return status;
	if (strcmp(ask->call->verb, "status") == 0)
		add_masters(ask->call, reply);
	status = print_reply(ask->call, reply);
	json_decref(reply);
	return status;
}

static bool needs_name(const char *verb)
{
	return strcmp(verb, "status") != 0 && strcmp(verb, "queue") != 0 && strcmp(verb, "kept") != 0;
}

int ask_verb(const struct verb_call *call)
{
	struct ask ask = {.call = call};
	const char *project = NULL, *rest[2] = {NULL, NULL}, *path;
	bool follow = false;
	const struct verb_option options[] = {
		{.name = "--project", .value = &project}, {.name = "-f", .other = "--follow", .flag = &follow}, {.name = NULL}};
	struct err err = {.kind = ERR_NONE};
	int status;

	if (verb_options(call, options, rest, needs_name(call->verb) ? 1 : 0, &err) < 0)
		return verb_fail(call, &err);
	if (needs_name(call->verb) && !rest[0]) {
		err_set(&err, ERR_USAGE, "it needs a name; see byoci help %s", call->verb);
		return verb_fail(call, &err);
	}
	if (conf_text(call->conf, NULL, "brain.socket", &path, &err) < 0)
		return verb_fail(call, &err);
	ask.fd = lines_call_open(path, &err);
	if (ask.fd < 0)
		return verb_fail(call, &err);
	ask.reader = lines_reader_new(ask.fd);
	status = run(&ask, rest[0], project, follow);
	lines_reader_free(ask.reader);
	close(ask.fd);
	return status;
}
