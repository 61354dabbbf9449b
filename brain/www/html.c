#include "www/html.h"

#include <string.h>

#include "base/clock.h"

enum { PAGE_MAXIMUM = 4 * 1024 * 1024 };

const struct httpd_field html_headers[] = {
	{"Content-Security-Policy",
		"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	{"X-Content-Type-Options", "nosniff"},
	{"Referrer-Policy", "no-referrer"},
	{"Cache-Control", "no-store"},
	{NULL, NULL},
};

static const char style[] =
	"body{font:15px/1.45 sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222;background:#fff}"
	"h1{font-size:1.4em}h2{font-size:1.1em;margin-top:1.6em}"
	"table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2em .8em .2em 0;border-bottom:1px solid #ddd}"
	"code,pre{font:13px/1.4 monospace;overflow-wrap:anywhere}td.n{text-align:right;white-space:nowrap}td.t{white-space:nowrap}"
	"@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}td,th{border-color:#333}a{color:#8bf}}";

/* A page that grows over the maximum is cut: nobody reads it. */
void html_raw(struct buf *page, const char *markup)
{
	if (buf_adds(page, markup) < 0)
		return;
}

void html_text(struct buf *page, const char *text)
{
	static const char *const escapes[256] = {['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#39;"};

	for (const char *at = text; at && *at;) {
		size_t plain = strcspn(at, "&<>\"'");

		if (buf_add(page, at, plain) < 0)
			return;
		at += plain;
		if (*at)
			html_raw(page, escapes[(unsigned char)*at++]);
	}
}

void html_link(struct buf *page, const char *href, const char *text)
{
	bool safe = href &&
		(strncmp(href, "https://", 8) == 0 || strncmp(href, "http://", 7) == 0 || (href[0] == '/' && href[1] != '/'));

	if (safe) {
		html_raw(page, "<a href=\"");
		html_text(page, href);
		html_raw(page, "\">");
	}
	html_text(page, text);
	if (safe)
		html_raw(page, "</a>");
}

void html_time(struct buf *page, int64_t ms)
{
	char text[CLOCK_ISO_SIZE];

	if (ms)
		html_text(page, clock_iso(ms, text));
}

void html_row(struct buf *page, const char *name, const char *text)
{
	html_raw(page, "<tr><th>");
	html_text(page, name);
	html_raw(page, "</th><td>");
	html_text(page, text);
	html_raw(page, "</td></tr>\n");
}

void html_begin(struct buf *page, const char *title)
{
	buf_init(page, PAGE_MAXIMUM);
	html_raw(page, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		"<meta name=\"viewport\" content=\"width=device-width\"><link rel=\"stylesheet\" href=\"/style.css\"><title>");
	html_text(page, title);
	html_raw(page, "</title></head><body>\n<h1>");
	html_text(page, title);
	html_raw(page, "</h1>\n");
}

void html_send(struct buf *page, struct httpd_request *request, unsigned status)
{
	html_raw(page, "</body></html>\n");
	httpd_answer(request, status, "text/html; charset=utf-8", html_headers, page->data, page->length);
	buf_release(page);
}

void html_style(struct httpd_request *request)
{
	httpd_answer(request, 200, "text/css; charset=utf-8", NULL, style, sizeof style - 1);
}
