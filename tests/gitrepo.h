/*
 * For unit tests that need git: a folder with a bare repository "there.git", a work tree "w", and a configuration. Needs
 * tests/tmp.h first.
 */
#ifndef BYOCI_TESTS_GITREPO_H
#define BYOCI_TESTS_GITREPO_H

#include <stdlib.h>

#include "base/child.h"
#include "conf/conf.h"

/*
 * Runs a shell script in the temporary folder ($T); what it wrote without the last newline, until the fourth call after.
 * Ends the test when it fails.
 */
static inline const char *gitrepo_run(const char *script)
{
	static char texts[4][65536];
	static unsigned next;
	char *text = texts[next++ % 4];
	char home[300], root[300];
	struct child child = CHILD_INIT;
	const char *const argv[] = {"sh", "-euc", script, NULL};
	const char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", home, root, "LC_ALL=C.UTF-8", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.org",
		"GIT_AUTHOR_DATE=@1700000000 +0000", "GIT_COMMITTER_DATE=@1700000000 +0000", NULL};
	struct child_result result;
	struct err err = {0};

	snprintf(home, sizeof home, "HOME=%s", tmp_folder);
	snprintf(root, sizeof root, "T=%s", tmp_folder);
	child.argv = argv;
	child.environment = environment;
	child.directory = tmp_folder;
	if (child_run(&child, NULL, &result, &err) < 0 || result.status != 0) {
		printf("Bail out! %s: %s%s\n", script, err.text, result.err.data ? result.err.data : "");
		exit(1);
	}
	snprintf(text, sizeof texts[0], "%.*s", (int)result.out.length, result.out.data ? result.out.data : "");
	child_result_release(&result);
	if (*text && text[strlen(text) - 1] == '\n')
		text[strlen(text) - 1] = 0;
	return text;
}

static inline void gitrepo_make(struct conf **conf)
{
	static char config[300], text[400];
	const char *const files[] = {config, NULL};
	struct err err = {0};

	tmp_make();
	snprintf(text, sizeof text, "[treetest]\ngit.config = %s/gitconfig\n", tmp_folder);
	snprintf(config, sizeof config, "%s", tmp_text("byov.conf", text, 0600));
	const struct conf_source source = {.namespace = "treetest", .files = files};
	if (conf_load(conf, &source, &err) < 0) {
		printf("Bail out! %s\n", err.text);
		exit(1);
	}
	gitrepo_run("git init -q --bare there.git; git init -q -b main w; cd w; git remote add there ../there.git; git config push.default nothing");
}

#endif
