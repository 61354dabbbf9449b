/*
 * The XML that describes a job, a view or a node of a master: read, compared and shown. Not more of XML than masters and
 * jenkins-job-builder write: no document type, no name spaces, UTF-8. Pure.
 */
#ifndef BYOCI_JOBS_JENKINS_XML_H
#define BYOCI_JOBS_JENKINS_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

struct jenkins_xml {
	const char *name;
	const char *attributes; /* " class=\"x\"", without plugin=, which says by which version it was written; "" */
	const char *text;       /* decoded; "" */
	struct jenkins_xml *child, *next;
};

/* The root, in the arena; NULL with ERR_INPUT: not well formed, nested too deep or too many elements. */
struct jenkins_xml *jenkins_xml_parse(struct arena *arena, const char *xml, size_t length, struct err *err);

/*
 * Its one form: an element a line, indented, without declaration, comments and blanks between elements; control characters as
 * numbers. `shown`: for people, with what looks like a secret left out.
 */
char *jenkins_xml_form(struct arena *arena, const struct jenkins_xml *root, bool shown);

/* The first child of that name; NULL: none. */
const struct jenkins_xml *jenkins_xml_child(const struct jenkins_xml *root, const char *name);

/* Its text; "": none. */
const char *jenkins_xml_text(const struct jenkins_xml *root, const char *name);

/* As text within an element or a quoted attribute. */
char *jenkins_xml_escape(struct arena *arena, const char *text);

#endif
