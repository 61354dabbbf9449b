#include "www/pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonget.h"
#include "forge/proposal.h"
#include "forge/spec.h"
#include "loop/httpd.h"
#include "www/downloads.h"
#include "www/html.h"
#include "www/listing.h"
#include "www/logs.h"
#include "www/view.h"

struct pages {
	struct brain *brain;
	struct httpd *httpd;
	struct logs *logs;
	struct downloads *downloads;
	struct listing *listing;
	struct arena *arena; /* for one request */
};

/* One request, its path in parts. */
struct visit {
	struct pages *pages;
	struct httpd_request *request;
	const char *parts[4]; /* after the route's own words; NULL-ended */
};

static unsigned status_of(const struct err *err)
{
	return err->kind == ERR_NOT_FOUND || err->kind == ERR_USAGE ? 404 : 503;
}

static void not_there(struct visit *visit, const struct err *err)
{
	struct buf page;

	html_begin(&page, status_of(err) == 404 ? "Not found" : "Not now");
	html_raw(&page, "<p>");
	html_text(&page, err->text);
	html_raw(&page, "</p>\n");
	html_send(&page, visit->request, status_of(err));
}

static void send_json(struct visit *visit, json_t *json, const struct err *err)
{
	char *text;

	if (!json) {
		httpd_answer_error(visit->request, status_of(err), err->text);
		return;
	}
	text = json_dumps(json, JSON_COMPACT);
	httpd_answer(visit->request, 200, "application/json", html_headers, text ? text : "{}", text ? strlen(text) : 2);
	free(text);
	json_decref(json);
}

static void link_build(struct buf *page, const char *build)
{
	char href[64];

	snprintf(href, sizeof href, "/builds/%s", build);
	html_link(page, href, build);
}

static void link_proposal(struct visit *visit, struct buf *page, const char *project, const char *name)
{
	html_link(page, arena_printf(visit->pages->arena, "/proposals/%s/%s", project, name), name);
}

static const char *text_of(const json_t *object, const char *key)
{
	return jsonget_string_or(object, key, "");
}

static void put_cell(struct buf *page, const char *text)
{
	html_raw(page, "<td>");
	html_text(page, text);
	html_raw(page, "</td>");
}

static void put_time(struct buf *page, const json_t *object, const char *key)
{
	html_raw(page, "<td class=\"t\">");
	html_time(page, jsonget_integer_or(object, key, 0));
	html_raw(page, "</td>");
}

static void put_queue(struct visit *visit, struct buf *page, const json_t *queue)
{
	const json_t *targets = json_object_get(queue, "targets"), *target, *item;
	size_t i, j;

	html_raw(page, "<h2>Queue</h2>\n");
	if (json_array_size(targets) == 0)
		html_raw(page, "<p>Nothing is queued.</p>\n");
	json_array_foreach(targets, i, target) {
		html_raw(page, "<h3>");
		html_text(page, text_of(target, "project"));
		html_raw(page, " <code>");
		html_text(page, text_of(target, "target"));
		html_raw(page, "</code></h3>\n<table>\n");
		json_array_foreach(json_object_get(target, "items"), j, item) {
			html_raw(page, "<tr><td>");
			link_proposal(visit, page, text_of(target, "project"), text_of(item, "proposal"));
			html_raw(page, "</td>");
			put_cell(page, text_of(item, "state"));
			put_time(page, item, "since");
			put_cell(page, text_of(item, "why"));
			html_raw(page, "</tr>\n");
		}
		html_raw(page, "</table>\n");
	}
}

static void put_recent(struct visit *visit, struct buf *page, const json_t *recent)
{
	const json_t *row;
	size_t i;

	html_raw(page, "<h2>Builds</h2>\n<table>\n");
	json_array_foreach(json_object_get(recent, "builds"), i, row) {
		html_raw(page, "<tr>");
		put_time(page, row, "asked");
		html_raw(page, "<td>");
		link_proposal(visit, page, text_of(row, "project"), text_of(row, "proposal"));
		html_raw(page, "</td>");
		put_cell(page, text_of(row, "target"));
		put_cell(page, jsonget_string_or(row, "outcome", text_of(row, "state")));
		html_raw(page, "<td>");
		link_build(page, text_of(row, "build"));
		html_raw(page, "</td></tr>\n");
	}
	html_raw(page, "</table>\n");
}

static void page_home(struct visit *visit)
{
	struct brain *brain = visit->pages->brain;
	struct err err = {.kind = ERR_NONE};
	json_t *queue = view_queue(brain, visit->pages->arena, &err), *recent;
	struct buf page;

	recent = queue ? view_recent(brain, visit->pages->arena, &err) : NULL;
	if (!recent) {
		json_decref(queue);
		not_there(visit, &err);
		return;
	}
	html_begin(&page, arena_printf(visit->pages->arena, "byoci %s", brain->namespace));
	put_queue(visit, &page, queue);
	put_recent(visit, &page, recent);
	html_send(&page, visit->request, 200);
	json_decref(queue);
	json_decref(recent);
}

static void put_proposal(struct visit *visit, struct buf *page, const json_t *show)
{
	const json_t *proposal = json_object_get(show, "proposal"), *item = json_object_get(show, "item");

	html_raw(page, "<table>\n<tr><th>proposal</th><td>");
	link_proposal(visit, page, text_of(proposal, "project"), text_of(proposal, "name"));
	html_raw(page, "</td></tr>\n<tr><th>url</th><td>");
	html_link(page, text_of(proposal, "url"), text_of(proposal, "url"));
	html_raw(page, "</td></tr>\n");
	html_row(page, "project", text_of(proposal, "project"));
	html_row(page, "target", text_of(proposal, "target"));
	html_row(page, "source now", text_of(proposal, "head"));
	html_row(page, "state", text_of(proposal, "state"));
	if (json_is_object(item)) {
		html_row(page, "in the gate", text_of(item, "state"));
		html_row(page, "because", text_of(item, "why"));
		html_row(page, "approved commit", text_of(item, "commit"));
	}
	html_raw(page, "</table>\n");
}

static void put_timeline(struct buf *page, const json_t *show)
{
	const json_t *timeline = json_object_get(show, "timeline"), *row;
	char took[32];
	size_t i;

	if (json_array_size(timeline) == 0)
		return;
	html_raw(page, "<h2>Time line</h2>\n<table>\n");
	json_array_foreach(timeline, i, row) {
		snprintf(took, sizeof took, "%lld ms", (long long)jsonget_integer_or(row, "took", 0));
		html_raw(page, "<tr>");
		put_time(page, row, "at");
		put_cell(page, text_of(row, "step"));
		html_raw(page, "<td class=\"n\">");
		html_text(page, took);
		html_raw(page, "</td></tr>\n");
	}
	html_raw(page, "</table>\n");
}

static void put_decisions(struct buf *page, const json_t *why)
{
	const json_t *row;
	size_t i;

	html_raw(page, "<h2>Why</h2>\n<table>\n");
	json_array_foreach(json_object_get(why, "decisions"), i, row) {
		html_raw(page, "<tr>");
		put_time(page, row, "time");
		put_cell(page, text_of(row, "stage"));
		put_cell(page, text_of(row, "text"));
		html_raw(page, "</tr>\n");
	}
	html_raw(page, "</table>\n");
}

static void page_proposal(struct visit *visit)
{
	struct brain *brain = visit->pages->brain;
	struct arena *arena = visit->pages->arena;
	struct err err = {.kind = ERR_NONE};
	json_t *show = view_proposal(brain, arena, visit->parts[0], visit->parts[1], &err), *why;
	const json_t *row;
	struct buf page;
	size_t i;

	why = show ? view_why(brain, arena, visit->parts[0], visit->parts[1], &err) : NULL;
	if (!why) {
		json_decref(show);
		not_there(visit, &err);
		return;
	}
	html_begin(&page, visit->parts[1]);
	put_proposal(visit, &page, show);
	html_raw(&page, "<h2>Builds</h2>\n<ul>\n");
	json_array_foreach(json_object_get(show, "builds"), i, row) {
		html_raw(&page, "<li>");
		link_build(&page, text_of(row, "build"));
		html_raw(&page, " ");
		html_text(&page, jsonget_string_or(row, "outcome", text_of(row, "state")));
		html_raw(&page, "</li>\n");
	}
	html_raw(&page, "</ul>\n");
	put_timeline(&page, show);
	put_decisions(&page, why);
	html_send(&page, visit->request, 200);
	json_decref(show);
	json_decref(why);
}

static void put_tests(struct buf *page, const json_t *build)
{
	const json_t *slowest = json_object_get(json_object_get(build, "reports"), "slowest"), *row;
	char took[32];
	size_t i;

	if (json_array_size(slowest) == 0)
		return;
	html_raw(page, "<h2>Slowest tests</h2>\n<table>\n");
	json_array_foreach(slowest, i, row) {
		snprintf(took, sizeof took, "%lld ms", (long long)jsonget_integer_or(row, "ms", 0));
		html_raw(page, "<tr>");
		put_cell(page, text_of(row, "name"));
		html_raw(page, "<td class=\"n\">");
		html_text(page, took);
		html_raw(page, "</td></tr>\n");
	}
	html_raw(page, "</table>\n");
}

static void put_artefacts(struct visit *visit, struct buf *page, const json_t *build)
{
	const json_t *all = json_object_get(build, "artefacts");
	const struct listing_part part = {.build = visit->parts[0], .rows = json_object_get(all, "list"), .first = 1,
		.count = jsonget_integer_or(all, "count", 0)};

	if (json_array_size(part.rows) == 0)
		return;
	html_raw(page, "<h2>Artefacts</h2>\n");
	listing_put(page, &part);
}

static void page_build(struct visit *visit)
{
	struct err err = {.kind = ERR_NONE};
	json_t *show = view_build(visit->pages->brain, visit->pages->arena, visit->parts[0], &err);
	const json_t *build = json_object_get(show, "build");
	struct buf page;

	if (!show) {
		not_there(visit, &err);
		return;
	}
	html_begin(&page, arena_printf(visit->pages->arena, "Build %s", visit->parts[0]));
	html_raw(&page, "<table>\n");
	html_row(&page, "outcome", jsonget_string_or(build, "outcome", text_of(build, "state")));
	html_row(&page, "reason", text_of(build, "reason"));
	html_row(&page, "tests", text_of(build, "tests"));
	html_row(&page, "merge", text_of(build, "merge"));
	html_raw(&page, "<tr><th>log</th><td>");
	html_link(&page, arena_printf(visit->pages->arena, "/builds/%s/log", visit->parts[0]), "log");
	html_raw(&page, "</td></tr>\n</table>\n");
	put_proposal(visit, &page, show);
	put_tests(&page, build);
	put_artefacts(visit, &page, build);
	put_timeline(&page, show);
	html_send(&page, visit->request, 200);
	json_decref(show);
}

static void page_log(struct visit *visit)
{
	struct err err = {.kind = ERR_NONE};
	json_t *show = view_build(visit->pages->brain, visit->pages->arena, visit->parts[0], &err);
	bool running = strcmp(text_of(json_object_get(show, "build"), "state"), "done") != 0;

	if (show)
		logs_answer(visit->pages->logs, visit->request, visit->parts[0], running);
	else
		not_there(visit, &err);
	json_decref(show);
}

/* The place of an artefact in its list: a decimal number from 1; 0: it is none. */
static size_t place_of(const char *text)
{
	size_t place = strspn(text, "0123456789") == strlen(text) && strlen(text) < 7 ? (size_t)strtoul(text, NULL, 10) : 0;

	return *text == '0' ? 0 : place;
}

/* Of those behind the ones that the signed result lists, the slave says what they are. */
static void page_artefact(struct visit *visit)
{
	struct err err = {.kind = ERR_NONE};
	json_t *show = view_build(visit->pages->brain, visit->pages->arena, visit->parts[0], &err);
	const json_t *all = json_object_get(json_object_get(show, "build"), "artefacts"), *row;
	size_t place = place_of(visit->parts[1]);
	struct downloads_wish wish = {.build = visit->parts[0], .number = (int64_t)place};

	row = place ? json_array_get(json_object_get(all, "list"), place - 1) : NULL;
	wish.path = row ? text_of(row, "path") : NULL;
	wish.size = jsonget_integer_or(row, "size", -1);
	if (row || (place && (int64_t)place <= jsonget_integer_or(all, "count", 0)))
		downloads_answer(visit->pages->downloads, visit->request, &wish);
	else if (show)
		httpd_answer_error(visit->request, 404, "the result of this build lists no such artefact");
	else
		not_there(visit, &err);
	json_decref(show);
}

static void page_artefacts(struct visit *visit)
{
	struct err err = {.kind = ERR_NONE};
	json_t *show = view_build(visit->pages->brain, visit->pages->arena, visit->parts[0], &err);
	const json_t *all = json_object_get(json_object_get(show, "build"), "artefacts");
	const char *first = httpd_query(visit->request, "first");
	size_t place = first ? place_of(first) : 1;

	if (place && (int64_t)place <= jsonget_integer_or(all, "count", 0))
		listing_answer(visit->pages->listing, visit->request, visit->parts[0], (int64_t)place);
	else if (show)
		httpd_answer_error(visit->request, 404, "there are no more artefacts of this build");
	else
		not_there(visit, &err);
	json_decref(show);
}

static void api_queue(struct visit *visit)
{
	struct err err = {.kind = ERR_NONE};

	send_json(visit, view_queue(visit->pages->brain, visit->pages->arena, &err), &err);
}

static void api_builds(struct visit *visit)
{
	struct err err = {.kind = ERR_NONE};

	send_json(visit, view_recent(visit->pages->brain, visit->pages->arena, &err), &err);
}

static void api_build(struct visit *visit)
{
	struct err err = {.kind = ERR_NONE};

	send_json(visit, view_build(visit->pages->brain, visit->pages->arena, visit->parts[0], &err), &err);
}

static void api_proposal(struct visit *visit)
{
	struct err err = {.kind = ERR_NONE};

	send_json(visit, view_why(visit->pages->brain, visit->pages->arena, visit->parts[0], visit->parts[1], &err), &err);
}

/* The process answers. */
static void page_health(struct visit *visit)
{
	static const char body[] = "{\"healthy\":true}\n";

	httpd_answer(visit->request, 200, "application/json", html_headers, body, sizeof body - 1);
}

/* It can also keep what it hears. */
static void page_ready(struct visit *visit)
{
	static const char body[] = "{\"ready\":true}\n";

	if (brain_healthy(visit->pages->brain))
		httpd_answer(visit->request, 200, "application/json", html_headers, body, sizeof body - 1);
	else
		httpd_answer_error(visit->request, 503, "the state can't be written");
}

static void page_style(struct visit *visit)
{
	html_style(visit->request);
}

/* 'B' stands for a part of the path that is a build's id, 'N' for one that is a name. */
static const struct route {
	const char *path;
	void (*show)(struct visit *visit);
} routes[] = {
	{"/", page_home},
	{"/healthz", page_health},
	{"/readyz", page_ready},
	{"/style.css", page_style},
	{"/builds/B", page_build},
	{"/builds/B/log", page_log},
	{"/builds/B/artefacts", page_artefacts},
	{"/builds/B/artefacts/N", page_artefact},
	{"/proposals/N/N", page_proposal},
	{"/api/v1/queue", api_queue},
	{"/api/v1/builds", api_builds},
	{"/api/v1/builds/B", api_build},
	{"/api/v1/proposals/N/N", api_proposal},
};

/* Fills the parts; false: another path. */
static bool matches(struct visit *visit, const char *route, const char *path)
{
	size_t count = 0;

	while (*route && *path) {
		size_t length;
		const char *part;

		if (*route != 'B' && *route != 'N') {
			if (*route++ != *path++)
				return false;
			continue;
		}
		length = strcspn(path, "/");
		part = arena_memdup(visit->pages->arena, path, length);
		if (*route == 'B' ? !spec_build_valid(part) : !forge_name_valid(part))
			return false;
		visit->parts[count++] = part;
		path += length;
		route++;
	}
	return !*route && !*path;
}

static void on_begin(void *cookie, struct httpd_request *request)
{
	static const struct httpd_field allow[] = {{"Allow", "GET, HEAD"}, {NULL, NULL}};
	static const char body[] = "{\"error\":\"pages are only read\"}";
	const char *method = httpd_method(request);

	(void)cookie;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		httpd_answer(request, 405, "application/json", allow, body, sizeof body - 1);
}

static void on_end(void *cookie, struct httpd_request *request)
{
	struct visit visit = {.pages = cookie, .request = request};
	struct err err = {.kind = ERR_NONE};

	if (httpd_answered(request))
		return;
	arena_reset(visit.pages->arena);
	for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
		if (matches(&visit, routes[i].path, httpd_path(request))) {
			routes[i].show(&visit);
			return;
		}
	err_set(&err, ERR_NOT_FOUND, "there is no such page");
	not_there(&visit, &err);
}

static void on_gone(void *cookie, struct httpd_request *request)
{
	struct pages *pages = cookie;

	logs_gone(pages->logs, request);
	downloads_gone(pages->downloads, request);
	listing_gone(pages->listing, request);
}

static const struct httpd_handler handler = {.begin = on_begin, .end = on_end, .gone = on_gone};

struct pages *pages_new(struct brain *brain, struct err *err)
{
	struct httpd_config config = {.option = "pages.listen"};
	struct pages *pages = calloc(1, sizeof *pages);

	if (!pages)
		err_fatal("out of memory");
	pages->brain = brain;
	pages->arena = arena_new();
	pages->logs = logs_new(brain);
	pages->downloads = downloads_new(brain);
	pages->listing = listing_new(brain);
	if (conf_text(brain->conf, NULL, "pages.listen", &config.listen, err) < 0)
		goto err1;
	pages->httpd = httpd_daemon_new(brain->loop, &config, &handler, pages, err);
	if (!pages->httpd)
		goto err1;
	return pages;
err1:
	pages_free(pages);
	return NULL;
}

void pages_free(struct pages *pages)
{
	if (!pages)
		return;
	httpd_daemon_free(pages->httpd);
	logs_free(pages->logs);
	downloads_free(pages->downloads);
	listing_free(pages->listing);
	arena_free(pages->arena);
	free(pages);
}

unsigned pages_port(const struct pages *pages)
{
	return httpd_daemon_port(pages->httpd);
}

void pages_log_grew(void *cookie, const char *build)
{
	struct pages *pages = cookie;

	logs_grew(pages->logs, build);
}
