#include "conf/reload.h"

#include <string.h>

#include "tests/tap.h"
#include "tests/tmp.h"

static const char *const fixed_options[] = {"state", NULL};
static const struct reload_fixed fixed = {.options = fixed_options, .kind = "account"};
static struct err err;

/* The configuration with this text, read anew after `old`; NULL as reload_conf. */
static struct conf *again(const struct conf *old, const char *text)
{
	const char *path = tmp_text("c", text, 0644);
	const struct conf_source source = {.namespace = "ignored", .files = (const char *const[]){path, NULL}};

	err_clear(&err);
	return reload_conf(old, &source, &fixed, &err);
}

static const char *url(const struct conf *conf)
{
	const char *value = NULL;

	return conf && conf_text(conf, NULL, "public.url", &value, &err) == 0 && value ? value : "";
}

int main(void)
{
	const char *path = tmp_text("c", "[testing]\npublic.url = http://one.test\n", 0644);
	const struct conf_source source = {.namespace = "testing", .files = (const char *const[]){path, NULL}};
	struct conf *conf = NULL, *new;

	ok(conf_load(&conf, &source, &err) == 0, "a configuration");
	ok(!again(conf, "[testing]\npublic.url = http://two.test\nnonsense = 1\n"), "an unknown option: not taken");
	ok(strstr(err.text, "nonsense") != NULL, "  and the error says which");
	ok(!again(conf, "[testing]\nhook.body.limit = much\n"), "a value that is none: not taken");
	ok(!again(conf, "[testing\n"), "no configuration at all: not taken");
	ok(!again(conf, "[testing]\npublic.url = {secrets}/{public.url}\n"), "a cycle: not taken");
	is(url(conf), "http://one.test", "the old one is as it was");
	new = again(conf, "[testing]\npublic.url = http://two.test\nstate = /elsewhere\n[account/gitea]\ndialect = gitea\n");
	ok(new != NULL, "what holds is taken");
	is(url(new), "http://two.test", "  and in force");
	is(conf_namespace(new), "testing", "  for the same namespace");
	is(url(conf), "http://one.test", "the old one lives until it is freed");
	conf_free(conf);
	is(url(new), "http://two.test", "and the new one needs nothing of it");
	conf_free(new);
	return tap_done();
}
