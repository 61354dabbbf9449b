#include "jobs/jenkins_xml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

enum { DEPTH = 64, ELEMENTS = 100000, PIECES = 200, NAME = 500, FORM_MAXIMUM = 32 << 20 };

#define BLANK " \t\r\n"

struct parsing {
	struct arena *arena;
	const char *at, *end;
	unsigned elements;
	struct err *err;
};

static void wrong(struct parsing *parsing, const char *what)
{
	err_set(parsing->err, ERR_INPUT, "not well-formed XML: %s", what);
}

static bool begins(const struct parsing *parsing, const char *word)
{
	size_t length = strlen(word);

	return (size_t)(parsing->end - parsing->at) >= length && memcmp(parsing->at, word, length) == 0;
}

/* The first `word` from here on; NULL: none. */
static const char *find(const struct parsing *parsing, const char *word)
{
	return memmem(parsing->at, (size_t)(parsing->end - parsing->at), word, strlen(word));
}

/* Code points as UTF-8; what is none is '?'. */
static char *put(char *to, unsigned long code)
{
	if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
		*to++ = '?';
	} else if (code < 0x80) {
		*to++ = (char)code;
	} else if (code < 0x800) {
		*to++ = (char)(0xc0 | code >> 6);
		*to++ = (char)(0x80 | (code & 63));
	} else {
		if (code < 0x10000) {
			*to++ = (char)(0xe0 | code >> 12);
		} else {
			*to++ = (char)(0xf0 | code >> 18);
			*to++ = (char)(0x80 | (code >> 12 & 63));
		}
		*to++ = (char)(0x80 | (code >> 6 & 63));
		*to++ = (char)(0x80 | (code & 63));
	}
	return to;
}

/* What "&...;" at `from` means goes to *to. Returns where it ends; NULL: it is none that XML knows by itself. */
static const char *entity(const char *from, const char *end, char **to)
{
	static const struct {
		const char *name;
		char sign;
	} known[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
	char digits[12] = "";
	const char *semicolon = memchr(from, ';', (size_t)(end - from));
	size_t length = semicolon ? (size_t)(semicolon - from) : 0;

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (length + 1 == strlen(known[i].name) && memcmp(from, known[i].name, length + 1) == 0) {
			*(*to)++ = known[i].sign;
			return semicolon + 1;
		}
	}
	if (length < 3 || length > 9 || from[1] != '#')
		return NULL;
	memcpy(digits, from + 2, length - 2);
	*to = put(*to, digits[0] == 'x' ? strtoul(digits + 1, NULL, 16) : strtoul(digits, NULL, 10));
	return semicolon + 1;
}

static char *decode(struct arena *arena, const char *from, size_t length)
{
	char *text = arena_alloc(arena, length + 1), *to = text;
	const char *end = from + length;

	while (from < end) {
		const char *after = *from == '&' ? entity(from, end, &to) : NULL;

		if (after)
			from = after;
		else
			*to++ = *from++;
	}
	return text;
}

/* An escaped sign; NULL: it stands for itself. */
static const char *escaped(const unsigned char *at, char number[static 8])
{
	unsigned code = *at;

	switch (*at) {
	case '&': return "&amp;";
	case '<': return "&lt;";
	case '>': return "&gt;";
	case '"': return "&quot;";
	default: break;
	}
	if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
		code = at[1];
	else if (code >= ' ' && code != 127)
		return NULL;
	if (code == '\n' || code == '\t')
		return NULL;
	memcpy(number, "&#x00;", 7);
	number[3] = "0123456789abcdef"[code >> 4];
	number[4] = "0123456789abcdef"[code & 15];
	return number;
}

char *jenkins_xml_escape(struct arena *arena, const char *text)
{
	char *out = arena_alloc(arena, strlen(text) * 6 + 1), *to = out, number[8];

	for (; *text; text++) {
		const char *sign = escaped((const unsigned char *)text, number);

		if (!sign) {
			*to++ = *text;
			continue;
		}
		memcpy(to, sign, strlen(sign));
		to += strlen(sign);
		if ((unsigned char)*text == 0xc2)
			text++;
	}
	return out;
}

/* Of an element or an attribute, as class names of Java make them. */
static bool is_name(const char *name, size_t length)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-";

	return length > 0 && length <= NAME && strspn(name, plain) >= length;
}

/* name="value" at `from`; returns where it ends, NULL: it is none. */
static const char *attribute(const char *from, const char *end, size_t *name, const char **value, size_t *length)
{
	const char *equals = memchr(from, '=', (size_t)(end - from)), *quote = equals ? equals + 1 : NULL, *closing;

	if (!quote || quote >= end || (*quote != '"' && *quote != '\''))
		return NULL;
	closing = memchr(quote + 1, *quote, (size_t)(end - quote - 1));
	if (!closing)
		return NULL;
	*name = (size_t)(equals - from);
	*value = quote + 1;
	*length = (size_t)(closing - quote - 1);
	return closing + 1;
}

static int read_attributes(struct parsing *parsing, struct buf *all, const char *from, const char *end)
{
	for (;;) {
		const char *value;
		size_t name, length;

		while (from < end && strchr(BLANK, *from))
			from++;
		if (from >= end)
			return 0;
		const char *after = attribute(from, end, &name, &value, &length);
		if (!after || !is_name(from, name)) {
			wrong(parsing, "an attribute");
			return -1;
		}
		if ((name != strlen("plugin") || memcmp(from, "plugin", name) != 0) && buf_printf(all, " %.*s=\"%s\"", (int)name, from,
				jenkins_xml_escape(parsing->arena, decode(parsing->arena, value, length))) < 0) {
			wrong(parsing, "too many attributes");
			return -1;
		}
		from = after;
	}
}

/* What was gathered piece by piece, in the arena; nothing of it is left elsewhere. */
static const char *gathered(const struct parsing *parsing, struct buf *buf)
{
	const char *text = buf->length ? arena_memdup(parsing->arena, buf->data, buf->length) : "";

	buf_release(buf);
	return text;
}

/* Past declarations and comments, and blanks between elements. */
static int skip(struct parsing *parsing, bool blanks)
{
	static const char *const pairs[][2] = {{"<?", "?>"}, {"<!--", "-->"}};
	bool again = true;

	while (again) {
		again = false;
		while (blanks && parsing->at < parsing->end && strchr(BLANK, *parsing->at))
			parsing->at++;
		for (size_t i = 0; i < 2; i++) {
			const char *end = begins(parsing, pairs[i][0]) ? find(parsing, pairs[i][1]) : NULL;

			if (begins(parsing, pairs[i][0]) && !end) {
				wrong(parsing, "a comment that does not end");
				return -1;
			}
			if (end) {
				parsing->at = end + strlen(pairs[i][1]);
				again = true;
			}
		}
	}
	return 0;
}

/* Text up to the next element; CDATA is text. */
static int read_text(struct parsing *parsing, struct buf *text)
{
	static const char cdata[] = "<![CDATA[";

	for (unsigned pieces = 0; pieces < PIECES; pieces++) {
		const char *from = parsing->at, *end;

		if (begins(parsing, cdata)) {
			end = find(parsing, "]]>");
			if (!end) {
				wrong(parsing, "a CDATA section that does not end");
				return -1;
			}
			from += strlen(cdata);
			if (buf_add(text, from, (size_t)(end - from)) < 0)
				break;
			parsing->at = end + 3;
			continue;
		}
		end = memchr(from, '<', (size_t)(parsing->end - from));
		parsing->at = end ? end : parsing->end;
		if (buf_adds(text, decode(parsing->arena, from, (size_t)(parsing->at - from))) < 0)
			break;
		from = parsing->at;
		if (skip(parsing, false) < 0)
			return -1;
		if (parsing->at == from && !begins(parsing, cdata))
			return 0;
	}
	wrong(parsing, "too many comments, or too much text");
	return -1;
}

static struct jenkins_xml *read_element(struct parsing *parsing, unsigned depth);

static int read_parts(struct parsing *parsing, struct jenkins_xml *node, struct buf *text, unsigned depth)
{
	struct jenkins_xml **last = &node->child;
	size_t length = strlen(node->name);

	for (;;) {
		if (read_text(parsing, text) < 0)
			return -1;
		if (begins(parsing, "</"))
			break;
		if (parsing->at >= parsing->end) {
			wrong(parsing, "an element that does not end");
			return -1;
		}
		*last = read_element(parsing, depth + 1);
		if (!*last)
			return -1;
		last = &(*last)->next;
	}
	parsing->at += 2;
	if (!begins(parsing, node->name) || !strchr(" \t\r\n>", parsing->at[length])) {
		wrong(parsing, "an element that ends as another");
		return -1;
	}
	parsing->at += length;
	parsing->at += strspn(parsing->at, BLANK);
	if (!begins(parsing, ">")) {
		wrong(parsing, "an element that does not end");
		return -1;
	}
	parsing->at++;
	return 0;
}

static int read_content(struct parsing *parsing, struct jenkins_xml *node, unsigned depth)
{
	struct buf text;
	int done;

	buf_init(&text, FORM_MAXIMUM);
	done = read_parts(parsing, node, &text, depth);
	node->text = gathered(parsing, &text);
	return done;
}

/* The '>' of the tag that begins here; quotes hide one. NULL: none. */
static const char *tag_end(const struct parsing *parsing)
{
	char quote = '\0';

	for (const char *at = parsing->at; at < parsing->end; at++) {
		if (quote)
			quote = *at == quote ? '\0' : quote;
		else if (*at == '"' || *at == '\'')
			quote = *at;
		else if (*at == '>')
			return at;
	}
	return NULL;
}

static struct jenkins_xml *read_element(struct parsing *parsing, unsigned depth)
{
	struct jenkins_xml *node = arena_alloc(parsing->arena, sizeof *node);
	const char *end = begins(parsing, "<") && !begins(parsing, "<!") ? tag_end(parsing) : NULL, *name = parsing->at + 1, *from;
	struct buf attributes;
	bool empty;
	int done;

	if (!end || end == name || depth > DEPTH || ++parsing->elements > ELEMENTS) {
		wrong(parsing, depth > DEPTH ? "nested too deep" : parsing->elements > ELEMENTS ? "too many elements" : "no element");
		return NULL;
	}
	empty = end[-1] == '/';
	from = name;
	while (from < end - empty && !strchr(BLANK, *from))
		from++;
	if (!is_name(name, (size_t)(from - name))) {
		wrong(parsing, "an element without a name");
		return NULL;
	}
	node->name = arena_memdup(parsing->arena, name, (size_t)(from - name));
	node->text = "";
	buf_init(&attributes, FORM_MAXIMUM);
	done = read_attributes(parsing, &attributes, from, end - empty);
	node->attributes = gathered(parsing, &attributes);
	if (done < 0)
		return NULL;
	parsing->at = end + 1;
	return empty || read_content(parsing, node, depth) == 0 ? node : NULL;
}

struct jenkins_xml *jenkins_xml_parse(struct arena *arena, const char *xml, size_t length, struct err *err)
{
	struct parsing parsing = {.arena = arena, .err = err};
	struct jenkins_xml *root;

	if (memchr(xml, '\0', length)) {
		wrong(&parsing, "a NUL byte");
		return NULL;
	}
	parsing.at = arena_memdup(arena, xml, length);
	parsing.end = parsing.at + length;
	root = skip(&parsing, true) == 0 ? read_element(&parsing, 0) : NULL;
	if (!root || skip(&parsing, true) < 0)
		return NULL;
	if (parsing.at < parsing.end) {
		wrong(&parsing, "something behind its end");
		return NULL;
	}
	return root;
}

static bool is_secret(const char *name)
{
	static const char *const words[] = {"password", "passphrase", "secret", "token", "privatekey"};

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcasestr(name, words[i]))
			return true;
	return false;
}

struct form {
	struct arena *arena;
	struct buf *buf;
	bool shown, full;
};

static void add(struct form *form, const char *text)
{
	if (buf_adds(form->buf, text) < 0)
		form->full = true;
}

static void indent(struct form *form, unsigned depth)
{
	while (depth--)
		add(form, "  ");
}

static void form_node(struct form *form, const struct jenkins_xml *node, unsigned depth, bool secret)
{
	bool blank = node->text[strspn(node->text, BLANK)] == '\0', hidden = form->shown && (secret || is_secret(node->name));
	const char *text = hidden ? "(not shown)" : jenkins_xml_escape(form->arena, node->text);

	indent(form, depth);
	add(form, arena_printf(form->arena, "<%s%s", node->name, hidden && *node->attributes ? " (not shown)" : node->attributes));
	if (!node->child) {
		add(form, *node->text ? arena_printf(form->arena, ">%s</%s>\n", text, node->name) : "/>\n");
		return;
	}
	add(form, ">\n");
	if (!blank) {
		indent(form, depth + 1);
		add(form, text);
		add(form, "\n");
	}
	for (const struct jenkins_xml *child = node->child; child; child = child->next)
		form_node(form, child, depth + 1, hidden);
	indent(form, depth);
	add(form, arena_printf(form->arena, "</%s>\n", node->name));
}

char *jenkins_xml_form(struct arena *arena, const struct jenkins_xml *root, bool shown)
{
	struct buf buf;
	struct form form = {.arena = arena, .buf = &buf, .shown = shown};
	char *text;

	buf_init(&buf, FORM_MAXIMUM);
	form_node(&form, root, 0, false);
	text = arena_memdup(arena, buf.data ? buf.data : "", buf.length);
	buf_release(&buf);
	return text;
}

const struct jenkins_xml *jenkins_xml_child(const struct jenkins_xml *root, const char *name)
{
	for (const struct jenkins_xml *child = root->child; child; child = child->next)
		if (strcmp(child->name, name) == 0)
			return child;
	return NULL;
}

const char *jenkins_xml_text(const struct jenkins_xml *root, const char *name)
{
	const struct jenkins_xml *child = jenkins_xml_child(root, name);

	return child ? child->text : "";
}
