/*
 * The pages listener: read-only. GET / · /builds/ID · /builds/ID/log (ranges; without one, and while it runs, as it grows) ·
 * /proposals/PROJECT/NAME · /api/v1/{queue,builds,builds/ID,proposals/PROJECT/NAME} · /healthz · /readyz · /style.css
 */
#ifndef BYOCI_WWW_PAGES_H
#define BYOCI_WWW_PAGES_H

#include "calls/brain.h"

struct pages;

/* Listens on pages.listen. */
struct pages *pages_new(struct brain *brain, struct err *err);
void pages_free(struct pages *pages); /* NULL is allowed */
unsigned pages_port(const struct pages *pages);

/* For struct brain_ears; the cookie is the struct pages. */
void pages_log_grew(void *cookie, const char *build);

#endif
