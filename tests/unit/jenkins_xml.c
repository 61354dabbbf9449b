#include "jobs/jenkins_xml.h"

#include <stdlib.h>

#include "tests/tap.h"

static struct arena *arena;

static const char *form(const char *xml, bool shown)
{
	struct err err;
	struct jenkins_xml *root = jenkins_xml_parse(arena, xml, strlen(xml), &err);

	return root ? jenkins_xml_form(arena, root, shown) : arena_printf(arena, "wrong: %s", err.text);
}

static void test_same(void)
{
	const char *one = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<project>\n  <actions/>\n  <a>x &quot;y&quot; &lt;b&gt; 'z' $1</a>\n</project>\n";
	const char *other = "<?xml version='1.1'?><project plugin=\"p@1\"><!-- c --><actions></actions><a>x \"y\" &#60;b&#x3e; &apos;z&apos; $1</a></project>";

	is(form(one, false), "<project>\n  <actions/>\n  <a>x &quot;y&quot; &lt;b&gt; 'z' $1</a>\n</project>\n", "an element a line");
	is(form(other, false), form(one, false), "what a master writes otherwise is the same");
	ok(strcmp(form("<a> b</a>", false), form("<a>b</a>", false)) != 0, "blanks in a text are text");
	ok(strcmp(form("<a b=\"1\"/>", false), form("<a b=\"2\"/>", false)) != 0, "attributes count");
	is(form("<a><![CDATA[<&>]]>b<!-- c -->d</a>", false), "<a>&lt;&amp;&gt;bd</a>\n", "CDATA is text, a comment is nothing");
	is(form("<a>text<b/></a>", false), "<a>\n  text\n  <b/>\n</a>\n", "text beside elements");
	is(form("<a>\xc3\xa4&#228;&#x1F600;</a>", false), "<a>\xc3\xa4\xc3\xa4\xf0\x9f\x98\x80</a>\n", "signs by number");
}

/* Text in very many pieces, and very many attributes: none of it is copied again for each piece. */
static void test_many(void)
{
	static const char *const pieces[] = {"x<b/>", " b=''"};
	enum { MANY = 90000, BYTES = 600000 };
	char *text = arena_alloc(arena, BYTES);

	for (unsigned kind = 0; kind < 2; kind++) {
		struct arena *own = arena_new();
		struct err err = {.kind = ERR_NONE};
		char *to = text + snprintf(text, BYTES, "%s", kind == 0 ? "<a>" : "<a");
		struct jenkins_xml *root;

		for (unsigned i = 0; i < MANY; i++, to += strlen(pieces[kind]))
			memcpy(to, pieces[kind], strlen(pieces[kind]));
		memcpy(to, kind == 0 ? "</a>" : "/>", kind == 0 ? 5 : 3);
		root = jenkins_xml_parse(own, text, strlen(text), &err);
		ok(root && strlen(kind == 0 ? root->text : root->attributes) == (kind == 0 ? MANY : MANY * 5), "very many pieces");
		arena_free(own);
	}
}

static void test_hostile(void)
{
	char deep[400] = "";

	for (unsigned i = 0; i < 100; i++)
		strcat(deep, "<a>");
	is(form(deep, false), "wrong: not well-formed XML: nested too deep", "a deep one");
	is(form("<a>&#27;[2J\x1b[2J&#x9b;</a>", false), "<a>&#x1b;[2J&#x1b;[2J&#x9b;</a>\n", "nothing of a terminal's gets out");
	is(form("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", false), "wrong: not well-formed XML: no element", "no document type");
	is(form("<a>&b;</a>", false), "<a>&amp;b;</a>\n", "an entity that XML does not know stays a text");
	is(form("<a></b>", false), "wrong: not well-formed XML: an element that ends as another", "a wrong end");
	is(form("<a><b></a>", false), "wrong: not well-formed XML: an element that ends as another", "crossed ends");
	is(form("<a>", false), "wrong: not well-formed XML: an element that does not end", "no end");
	is(form("<a", false), "wrong: not well-formed XML: no element", "half a tag");
	is(form("<a/>x", false), "wrong: not well-formed XML: something behind its end", "more behind it");
	is(form("<a b></a>", false), "wrong: not well-formed XML: an attribute", "an attribute without a value");
	is(form("<!-- x", false), "wrong: not well-formed XML: a comment that does not end", "half a comment");
	is(form("", false), "wrong: not well-formed XML: no element", "nothing");
	is(form("<a b='>'/>", false), "<a b=\"&gt;\"/>\n", "a bracket within quotes");
	test_many();
}

static void test_secrets(void)
{
	const char *xml = "<p><authToken>s1</authToken><hudson.model.PasswordParameterDefinition><name>N</name><defaultValue>s2</defaultValue>"
		"</hudson.model.PasswordParameterDefinition><c>plain</c></p>";

	ok(!strstr(form(xml, true), "s1") && !strstr(form(xml, true), "s2"), "what looks like a secret is not shown");
	ok(strstr(form(xml, true), "<c>plain</c>"), "the rest is");
	ok(strstr(form(xml, false), "s1") && strstr(form(xml, false), "s2"), "it is compared though");
}

static void test_read(void)
{
	struct err err;
	const char *xml = "<v><description>a &amp; b</description><columns><x.C/><x.D/></columns></v>";
	struct jenkins_xml *root = jenkins_xml_parse(arena, xml, strlen(xml), &err);

	is(jenkins_xml_text(root, "description"), "a & b", "a text, decoded");
	is(jenkins_xml_text(root, "none"), "", "no such");
	is(jenkins_xml_child(root, "columns")->child->next->name, "x.D", "children in their order");
	is(jenkins_xml_escape(arena, "a<'\"&\x01"), "a&lt;'&quot;&amp;&#x01;", "escaped");
	ok(!jenkins_xml_parse(arena, "<a>\0</a>", 8, &err), "a NUL byte");
}

int main(void)
{
	arena = arena_new();
	test_same();
	test_hostile();
	test_secrets();
	test_read();
	arena_free(arena);
	return tap_done();
}
