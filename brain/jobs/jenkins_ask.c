/* byoci jenkins status and run-job: what masters say of themselves, and jobs that a person starts. */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/jsonget.h"
#include "forge/outcome.h"
#include "forge/text.h"
#include "jobs/jenkins.h"
#include "jobs/jenkins_fill.h"
#include "master/verdict.h"

#define NODES \
	"computer/api/json?tree=computer[displayName,offline,temporarilyOffline,offlineCauseReason,offlineCause[description],idle,numExecutors]"
#define QUEUE "queue/api/json?tree=items[id,why,inQueueSince,stuck,task[name]]"

/* A master's words on one line, for a terminal: each control character is a blank. */
static char *line_of(struct arena *arena, const char *text)
{
	char *line = text_utf8(arena, text);

	for (unsigned char *at = (unsigned char *)line; *at; at++) {
		if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
			at[0] = at[1] = ' ';
		else if (*at < ' ' || *at == 127)
			*at = ' ';
	}
	return line;
}

static json_t *line_json(const char *text)
{
	struct arena *arena = arena_new();
	json_t *json = json_string(line_of(arena, text));

	arena_free(arena);
	return json;
}

static const char *text_of(const json_t *object, const char *key)
{
	return jsonget_string_or(object, key, "-");
}

/* --- status */

/* Of our slaves: NAME and NAME-land. */
static bool is_ours(const char *const *slaves, const char *node)
{
	for (; *slaves; slaves++) {
		size_t length = strlen(*slaves);

		if (strncmp(node, *slaves, length) == 0 && (!node[length] || strcmp(node + length, "-land") == 0))
			return true;
	}
	return false;
}

/* Jenkins and Hudson say it in different places. */
static const char *cause_of(const json_t *row)
{
	const char *reason = jsonget_string_or(row, "offlineCauseReason", "");

	return *reason ? reason : jsonget_string_or(json_object_get(row, "offlineCause"), "description", "");
}

static json_t *nodes_of(const json_t *rows, const char *const *slaves)
{
	json_t *all = json_array();
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		const char *name = jsonget_string_or(row, "displayName", "");

		if (is_ours(slaves, name))
			json_array_append_new(all,
				json_pack("{s:o, s:b, s:b, s:o, s:b}", "name", text_json(name), "offline", jsonget_boolean_or(row, "offline", true),
					"taken", jsonget_boolean_or(row, "temporarilyOffline", false), "why",
					line_json(cause_of(row)), "busy", !jsonget_boolean_or(row, "idle", true)));
	}
	return all;
}

static json_t *queue_of(const json_t *rows, const char *prefix)
{
	json_t *all = json_array();
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		const char *name = jsonget_string_or(json_object_get(row, "task"), "name", "");

		if (strncmp(name, prefix, strlen(prefix)) == 0)
			json_array_append_new(all,
				json_pack("{s:I, s:o, s:o, s:I}", "id", (json_int_t)jsonget_integer_or(row, "id", 0), "job", line_json(name), "why",
					line_json(jsonget_string_or(row, "why", "")), "since", (json_int_t)jsonget_integer_or(row, "inQueueSince", 0)));
	}
	return all;
}

static int report_one(struct jenkins *jenkins, const char *name, bool always, json_t *report, struct err *err)
{
	struct site site;
	const char *const *slaves;
	json_t *nodes = NULL, *queue = NULL, *computers, *items;
	struct master *master;
	int done = -1;

	if (site_load(jenkins->conf, jenkins->arena, name, &site, err) < 0)
		return -1;
	json_object_set_new(report, "url", text_json(site.url));
	if (!always && site.user && access(site.secret, R_OK) < 0)
		return 0;
	master = jenkins_masters_open(jenkins, name, &site, err);
	if (!master)
		return -1;
	slaves = site_slaves(jenkins->conf, jenkins->arena, err);
	if (!slaves)
		goto err1;
	json_object_set_new(report, "dialect", json_string(master_dialect(master) == MASTER_JENKINS ? "jenkins" : "hudson"));
	json_object_set_new(report, "version", text_json(master_version(master)));
	if (!(nodes = master_get_json(master, NODES, err)) || jsonget_array(nodes, "computer", &computers, err) < 0 ||
		!(queue = master_get_json(master, QUEUE, err)) || jsonget_array(queue, "items", &items, err) < 0)
		goto err1;
	json_object_set_new(report, "nodes", nodes_of(computers, slaves));
	json_object_set_new(report, "queue", queue_of(items, site.prefix));
	done = 0;
err1:
	json_decref(queue);
	json_decref(nodes);
	master_free(master);
	return done;
}

json_t *jenkins_ask_report(struct jenkins *jenkins, bool always)
{
	json_t *all = json_array();

	for (const char *const *name = jenkins->names; *name; name++) {
		json_t *report = json_pack("{s:s}", "master", *name);
		struct err err = {.kind = ERR_NONE};

		if (report_one(jenkins, *name, always, report, &err) < 0)
			json_object_set_new(report, "error", text_json(err.text));
		json_array_append_new(all, report);
	}
	return json_pack("{s:o}", "masters", all);
}

static void print_node(const json_t *node)
{
	const char *why = jsonget_string_or(node, "why", "");

	printf("  node      %s %s%s%s%s\n", text_of(node, "name"), jsonget_boolean_or(node, "offline", true) ? "offline" : "online",
		jsonget_boolean_or(node, "busy", false) ? ", at work" : "", *why ? ": " : "", why);
}

/* "Hudson 3.3.2" */
static const char *name_of(const json_t *master, char said[static 64])
{
	const char *dialect = jsonget_string_or(master, "dialect", "");

	snprintf(said, 64, "%s %s", strcmp(dialect, "jenkins") == 0 ? "Jenkins" : *dialect ? "Hudson" : "",
		jsonget_string_or(master, "version", ""));
	return said;
}

void jenkins_ask_print(const json_t *report)
{
	char said[64];
	const json_t *master, *row;
	size_t i, j;

	json_array_foreach(json_object_get(report, "masters"), i, master)
	{
		const char *name = jsonget_string_or(master, "master", ""), *error = jsonget_string_or(master, "error", NULL);

		printf("master      %s%s%s %s\n", name, *name ? " " : "", text_of(master, "url"),
			error ? "does not answer as it should:" : name_of(master, said));
		if (error)
			printf("  %s\n", error);
		json_array_foreach(json_object_get(master, "nodes"), j, row) print_node(row);
		json_array_foreach(json_object_get(master, "queue"), j, row)
			printf("  waiting   %s: %s\n", text_of(row, "job"), text_of(row, "why"));
	}
}

int jenkins_ask_status(struct jenkins *jenkins, int *status, struct err *err)
{
	const struct verb_option options[] = {{.name = NULL}};
	const char *rest[1];
	const json_t *master;
	json_t *report;
	size_t i;

	if (verb_options(jenkins->call, options, rest, 0, err) < 0)
		return -1;
	report = jenkins_ask_report(jenkins, true);
	if (jenkins->call->json) {
		json_dumpf(report, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		jenkins_ask_print(report);
	}
	json_array_foreach(json_object_get(report, "masters"), i, master) if (json_object_get(master, "error"))
		*status = outcome_exit(OUTCOME_UNREACHABLE);
	json_decref(report);
	return 0;
}

/* --- run-job */

struct running {
	struct jenkins *jenkins;
	struct site site;
	struct master *master;
	regex_t pattern;
	bool dry;
	unsigned matched;
	json_t *told; /* --json; NULL: text */
};

static void tell_run(struct running *running, const char *job, const char *what)
{
	running->matched++;
	if (running->told)
		json_array_append_new(running->told,
			json_pack("{s:s, s:o, s:o}", "master", running->site.name, "job", text_json(job), "result", text_json(what)));
	else
		printf("%s: %s\n", line_of(running->jenkins->arena, job), line_of(running->jenkins->arena, what));
	fflush(stdout);
}

/* Starts it as its "Build" button would: with default parameters. Jenkins says which item of its queue it is. */
static int trigger(struct running *running, const char *job, bool parameters, int *status)
{
	struct arena *arena = running->jenkins->arena;
	const char *path = arena_printf(
		arena, "%s/%s?delay=0sec", site_job_path(&running->site, arena, job), parameters ? "buildWithParameters" : "build");
	const struct master_request request = {.path = path, .form = ""};
	struct http_reply reply;
	struct err err = {.kind = ERR_NONE};

	if (master_once(running->master, &request, arena, &reply, &err) < 0 || verdict_login(running->site.url, &reply, &err) < 0 ||
		(reply.status != 201 && reply.status != 302 && reply.status != 303 &&
			verdict_refusal(running->site.url, &reply, arena_printf(arena, "job %s", job), &err) < 0)) {
		tell_run(running, job, arena_printf(arena, "not started: %s", err.text));
		*status = verb_status(&err);
		return -1;
	}
	tell_run(running, job, reply.status == 303 ? "waits already" : "started");
	return 0;
}

/* With our name and our word for it. */
static bool is_our_job(const struct running *running, const json_t *job)
{
	const char *prefix = running->site.prefix;

	return strncmp(jsonget_string_or(job, "name", ""), prefix, strlen(prefix)) == 0 &&
		strstr(jsonget_string_or(job, "description", ""), jenkins_fill_mark_begin(running->jenkins->conf, running->jenkins->arena));
}

static void run_matching(struct running *running, const json_t *jobs, int *status)
{
	const json_t *job;
	size_t i;

	json_array_foreach(jobs, i, job)
	{
		const char *name = jsonget_string_or(job, "name", "");
		const json_t *properties = json_object_get(job, "property"), *property;
		bool parameters = false;
		size_t j;

		if (!is_our_job(running, job) || regexec(&running->pattern, name, 0, NULL, 0) != 0)
			continue;
		json_array_foreach(properties, j, property) parameters |= json_array_size(json_object_get(property, "parameterDefinitions")) > 0;
		if (!jsonget_boolean_or(job, "buildable", true))
			tell_run(running, name, "disabled on the master: not started");
		else if (running->dry)
			tell_run(running, name, "would be started");
		else
			(void)trigger(running, name, parameters, status);
	}
}

static int run_on(struct running *running, const char *name, int *status, struct err *err)
{
	struct arena *arena = running->jenkins->arena;
	json_t *answer, *jobs;
	int done;

	running->master = jenkins_masters_open(running->jenkins, name, &running->site, err);
	if (!running->master)
		return -1;
	answer = master_get_json(running->master,
		arena_printf(arena, "%sapi/json?tree=jobs[name,description,buildable,property[parameterDefinitions[name]]]",
			site_folder_path(&running->site, arena)),
		err);
	done = answer ? jsonget_array(answer, "jobs", &jobs, err) : -1;
	if (done == 0)
		run_matching(running, jobs, status);
	json_decref(answer);
	master_free(running->master);
	return done;
}

static int run_all(struct running *running, int *status, struct err *err)
{
	for (const char *const *name = running->jenkins->names; *name; name++)
		if (run_on(running, *name, status, err) < 0)
			return -1;
	if (running->told) {
		json_dumpf(running->told, stdout, JSON_COMPACT);
		putchar('\n');
	}
	if (!running->matched)
		return err_set(err, ERR_NOT_FOUND, "no job of ours matches; byoci jenkins run-job --dry-run . shows them all");
	return 0;
}

int jenkins_ask_run(struct jenkins *jenkins, int *status, struct err *err)
{
	struct running running = {.jenkins = jenkins};
	const struct verb_option options[] = {{.name = "--dry-run", .flag = &running.dry}, {.name = NULL}};
	const char *rest[2];
	char why[200];
	int done;

	if (verb_options(jenkins->call, options, rest, 1, err) < 0)
		return -1;
	if (!rest[0])
		return err_set(err, ERR_USAGE, "which jobs? It wants a regular expression");
	done = regcomp(&running.pattern, rest[0], REG_EXTENDED | REG_NOSUB);
	if (done != 0) {
		regerror(done, &running.pattern, why, sizeof why);
		return err_set(err, ERR_USAGE, "%s: no regular expression: %s", rest[0], why);
	}
	running.told = jenkins->call->json ? json_array() : NULL;
	done = run_all(&running, status, err);
	json_decref(running.told);
	regfree(&running.pattern);
	return done;
}
