/* Pages: everything that is not markup of ours goes through html_text(). */
#ifndef BYOCI_WWW_HTML_H
#define BYOCI_WWW_HTML_H

#include <stdint.h>

#include "base/buf.h"
#include "loop/httpd.h"

/* Begins a page with that title and heading; html_send() ends, sends and frees it. */
void html_begin(struct buf *page, const char *title);
void html_send(struct buf *page, struct httpd_request *request, unsigned status);

void html_raw(struct buf *page, const char *markup);
void html_text(struct buf *page, const char *text); /* NULL: nothing */
void html_link(
	struct buf *page, const char *href, const char *text); /* href: a path of ours, or http(s); anything else is text only */
void html_time(struct buf *page, int64_t ms); /* 0: nothing */

/* <tr><td>name</td><td>text</td></tr> */
void html_row(struct buf *page, const char *name, const char *text);

/* What every answer of the pages listener carries. */
extern const struct httpd_field html_headers[];

/* The style sheet, /style.css. */
void html_style(struct httpd_request *request);

#endif
