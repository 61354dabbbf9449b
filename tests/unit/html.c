/* Pages: nothing that comes from outside is markup. */
#include "www/html.h"

#include "tests/tap.h"

static struct buf page;

static void seen(const char *wanted, const char *what)
{
	is(page.data, wanted, what);
	buf_release(&page);
	buf_init(&page, 4096);
}

int main(void)
{
	buf_init(&page, 4096);
	html_text(&page, "<b title=\"x\" id='y'>&amp;</b>");
	seen("&lt;b title=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;&lt;/b&gt;", "a text is escaped");
	html_text(&page, "plain");
	html_text(&page, NULL);
	html_text(&page, "");
	seen("plain", "a plain one stays, none is nothing");
	html_link(&page, "/builds/1\"onclick=\"x", "<1>");
	seen("<a href=\"/builds/1&quot;onclick=&quot;x\">&lt;1&gt;</a>", "a link can't leave its attribute");
	html_link(&page, "https://example.org/a?b&c", "x");
	seen("<a href=\"https://example.org/a?b&amp;c\">x</a>", "a link to the web");
	html_link(&page, "javascript:alert(1)", "x");
	seen("x", "a link to a script is no link");
	html_link(&page, "//example.org", "x");
	seen("x", "nor is one that only looks like a path of ours");
	html_link(&page, "ssh://host/x#y", "ssh://host/x#y");
	seen("ssh://host/x#y", "nor one that browsers do not know");
	html_link(&page, NULL, "x");
	seen("x", "nor none");
	html_row(&page, "<n>", "<t>");
	seen("<tr><th>&lt;n&gt;</th><td>&lt;t&gt;</td></tr>\n", "a row of a table is escaped");
	html_time(&page, 1000);
	seen("1970-01-01T00:00:01.000Z", "a time");
	buf_release(&page);
	return tap_done();
}
