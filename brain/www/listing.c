#include "www/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/jsonget.h"
#include "forge/spec.h"
#include "loop/lines.h"
#include "www/html.h"

enum { AT_ONCE = 16, ADDRESS_SIZE = 128 };

struct asked {
	LIST_ENTRY(asked) link;
	struct listing *listing;
	struct httpd_request *request;
	struct lines *lines; /* to the slave; NULL: it ended */
	char build[SPEC_BUILD_SIZE];
	int64_t first;
};

struct listing {
	struct brain *brain;
	LIST_HEAD(, asked) asked;
	unsigned count;
};

struct listing *listing_new(struct brain *brain)
{
	struct listing *listing = calloc(1, sizeof *listing);

	if (!listing)
		err_fatal("out of memory");
	listing->brain = brain;
	LIST_INIT(&listing->asked);
	return listing;
}

static void forget(struct asked *asked)
{
	LIST_REMOVE(asked, link);
	asked->listing->count--;
	if (asked->lines)
		lines_close(asked->lines);
	free(asked);
}

void listing_free(struct listing *listing)
{
	if (!listing)
		return;
	while (!LIST_EMPTY(&listing->asked))
		forget(LIST_FIRST(&listing->asked));
	free(listing);
}

static void put_row(struct buf *page, const char *build, int64_t place, const json_t *row)
{
	char address[ADDRESS_SIZE], size[32];

	snprintf(address, sizeof address, "/builds/%s/artefacts/%lld", build, (long long)place);
	snprintf(size, sizeof size, "%lld", (long long)jsonget_integer_or(row, "size", 0));
	html_raw(page, "<tr><td>");
	html_link(page, address, jsonget_string_or(row, "path", ""));
	html_raw(page, "</td><td class=\"n\">");
	html_text(page, size);
	html_raw(page, "</td><td>");
	html_text(page, jsonget_string_or(row, "sha256", ""));
	html_raw(page, "</td></tr>\n");
}

void listing_put(struct buf *page, const struct listing_part *part)
{
	int64_t next = part->first + (int64_t)json_array_size(part->rows);
	char address[ADDRESS_SIZE], more[64];
	const json_t *row;
	size_t i;

	html_raw(page, "<table>\n");
	json_array_foreach(part->rows, i, row)
		put_row(page, part->build, part->first + (int64_t)i, row);
	html_raw(page, "</table>\n");
	if (next > part->count)
		return;
	snprintf(address, sizeof address, "/builds/%s/artefacts?first=%lld", part->build, (long long)next);
	snprintf(more, sizeof more, "%lld more", (long long)(part->count - next + 1));
	html_raw(page, "<p>");
	html_link(page, address, more);
	html_raw(page, "</p>\n");
}

static void put_page(const struct asked *asked, const json_t *reply)
{
	const struct listing_part part = {.build = asked->build, .rows = json_object_get(reply, "artefacts"), .first = asked->first,
		.count = jsonget_integer_or(reply, "count", 0)};
	char address[ADDRESS_SIZE];
	struct buf page;

	html_begin(&page, "Artefacts");
	snprintf(address, sizeof address, "/builds/%s", asked->build);
	html_raw(&page, "<p>Build ");
	html_link(&page, address, asked->build);
	html_raw(&page, "</p>\n");
	listing_put(&page, &part);
	html_send(&page, asked->request, 200);
}

static void on_reply(void *cookie, struct lines *lines, const json_t *reply, const struct err *trouble)
{
	struct asked *asked = cookie;
	const char *why = jsonget_string_or(reply, "error", NULL);
	bool absent = why && strcmp(jsonget_string_or(reply, "kind", ""), "input") == 0;

	(void)lines;
	if (!reply)
		asked->lines = NULL;
	if (!reply || why)
		httpd_answer_error(asked->request, absent ? 404 : 503, why ? why : *trouble->text ? trouble->text : "the slave went away");
	else if (json_array_size(json_object_get(reply, "artefacts")) == 0)
		httpd_answer_error(asked->request, 404, "there are no more artefacts of this build");
	else
		put_page(asked, reply);
	forget(asked);
}

static int ask(struct asked *asked, struct err *err)
{
	struct listing *listing = asked->listing;
	const char *path = NULL;

	if (conf_text(listing->brain->conf, NULL, "slave.socket", &path, err) == 0)
		asked->lines = lines_connect(listing->brain->loop, path, on_reply, asked, err);
	if (!asked->lines)
		return -1;
	return lines_send(asked->lines, json_pack("{s:s, s:s, s:I}", "op", "artefacts", "build", asked->build, "first",
		(json_int_t)asked->first));
}

void listing_answer(struct listing *listing, struct httpd_request *request, const char *build, int64_t first)
{
	struct err err = {.kind = ERR_NONE};
	struct asked *asked;

	if (listing->count >= AT_ONCE) {
		httpd_answer_error(request, 503, "too many artefacts are asked for at once");
		return;
	}
	asked = calloc(1, sizeof *asked);
	if (!asked)
		err_fatal("out of memory");
	*asked = (struct asked){.listing = listing, .request = request, .first = first};
	snprintf(asked->build, sizeof asked->build, "%s", build);
	LIST_INSERT_HEAD(&listing->asked, asked, link);
	listing->count++;
	if (ask(asked, &err) == 0)
		return;
	httpd_answer_error(request, 503, err.text);
	forget(asked);
}

void listing_gone(struct listing *listing, struct httpd_request *request)
{
	struct asked *asked, *next;

	for (asked = LIST_FIRST(&listing->asked); asked; asked = next) {
		next = LIST_NEXT(asked, link);
		if (asked->request == request)
			forget(asked);
	}
}
