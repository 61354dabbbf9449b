#include "jobs/jenkins_builder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/file.h"
#include "base/strv.h"

enum { LIMIT_MS = 300000, XML_MAXIMUM = 1 << 20, ITEMS = 20000, NESTED = 32, SAID = 700 };

/* --- its configuration */

/* One value of an INI file; '%' would begin a name. NULL: it can't be one. */
static const char *ini_value(struct arena *arena, const char *text)
{
	char *out = arena_alloc(arena, strlen(text) * 2 + 1), *to = out;
	size_t length = strlen(text);

	if (length == 0 || strchr(" \t", text[0]) || strchr(" \t", text[length - 1]))
		return NULL;
	for (; *text; text++) {
		if ((unsigned char)*text < ' ')
			return NULL;
		if (*text == '%')
			*to++ = '%';
		*to++ = *text;
	}
	return out;
}

/* "user=…\npassword=…\n", or "" for nobody; the secret alone in *secret. NULL with err. */
static const char *login(const struct site *site, struct arena *arena, const char **secret, struct err *err)
{
	const char *user, *password;

	*secret = NULL;
	if (!site->user)
		return "";
	*secret = file_read_secret(arena, site->secret, NULL, err);
	if (!*secret)
		return NULL;
	user = ini_value(arena, site->user);
	password = ini_value(arena, *secret);
	if (!user || !password) {
		err_set(err, ERR_CONFIG, "%s: the builder takes no user and no secret with control characters, or blanks at an end",
			site->secret);
		return NULL;
	}
	return arena_printf(arena, "user=%s\npassword=%s\n", user, password);
}

static const char *within(const struct jenkins_builder *builder, struct arena *arena, const char *name)
{
	return arena_printf(arena, "%s/%s", builder->folder, name);
}

/* Writes its configuration; the secret, for who must not say it, in *secret. Returns its path, or NULL. */
static const char *configure(const struct jenkins_builder *builder, struct arena *arena, bool online, const char **secret,
	struct err *err)
{
	const struct site *site = builder->site;
	const char *path = within(builder, arena, "builder.ini"), *who = "", *text;

	*secret = NULL;
	if (online && !(who = login(site, arena, secret, err)))
		return NULL;
	text = arena_printf(arena,
		"[job_builder]\nignore_cache=True\nkeep_descriptions=False\nrecursive=False\nallow_duplicates=False\n"
		"[jenkins]\nurl=%s\n%stimeout=%lld\nquery_plugins_info=False\n",
		online ? ini_value(arena, site->url) : "http://localhost/", who, (long long)(site->limit_ms + 999) / 1000);
	return file_write(path, text, strlen(text), 0600, err) < 0 ? NULL : path;
}

/* --- running it */

/* Whether "jenkins_jobs.errors.JenkinsJobsException: …" begins here: the line of a traceback that says why. */
static bool is_reason(const char *line)
{
	size_t length = strcspn(line, ": \n");

	return strncmp(line + length, ": ", 2) == 0 && ((length > 5 && strncmp(line + length - 5, "Error", 5) == 0) ||
		(length > 9 && strncmp(line + length - 9, "Exception", 9) == 0));
}

/* Where it says why it failed: its last reason, else the end of what it said. */
static const char *reason(const char *all, size_t length)
{
	const char *found = all + (length > SAID ? length - SAID : 0);

	for (const char *line = all; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (is_reason(line))
			found = line;
	}
	return found;
}

/* That on one line, without control characters and the secret. */
static const char *said(struct arena *arena, const struct buf *buf, const char *secret)
{
	const char *all = buf->data ? buf->data : "";
	char *text = arena_strdup(arena, all);

	for (char *at = text; secret && (at = strstr(at, secret)) != NULL;)
		memset(at, '*', strlen(secret));
	text += reason(all, buf->length) - all;
	if (strlen(text) > SAID)
		text[SAID] = '\0';
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			*at = ' ';
	return text;
}

static int run(const struct jenkins_builder *builder, struct arena *arena, const struct strv *argv, const char *secret,
	struct err *err)
{
	struct strv environment = STRV_INIT;
	struct child child = CHILD_INIT;
	const struct child_input input = {.maximum = 16 << 20, .limit_ms = LIMIT_MS};
	struct child_result result;
	int done;

	strv_pushl(&environment, "PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1", NULL);
	strv_pushf(&environment, "HOME=%s", builder->folder);
	strv_pushf(&environment, "TMPDIR=%s", builder->folder);
	if (builder->site->ca)
		strv_pushf(&environment, "REQUESTS_CA_BUNDLE=%s", builder->site->ca);
	child.argv = (const char *const *)argv->v;
	child.environment = (const char *const *)environment.v;
	child.directory = builder->folder;
	child.dies_with_parent = true;
	done = child_run(&child, &input, &result, err);
	if (done < 0)
		err_wrap(err, "option master.builder (of Debian's package jenkins-job-builder)");
	else if (result.status != 0)
		done = err_set(err, ERR_CONFIG, "%s failed (%d): %s", argv->v[0], result.status, said(arena, &result.err, secret));
	child_result_release(&result);
	strv_release(&environment);
	return done;
}

static int start(const struct jenkins_builder *builder, struct arena *arena, struct strv *argv, bool online, const char **secret,
	struct err *err)
{
	const char *program, *path = configure(builder, arena, online, secret, err);

	if (!path || conf_text(builder->conf, NULL, "master.builder", &program, err) < 0)
		return -1;
	strv_pushl(argv, program, "--conf", path, NULL);
	return 0;
}

/* Where templates and values are, as its argument. NULL: ERR_CONFIG. */
static const char *sources(const struct jenkins_builder *builder, struct arena *arena, struct err *err)
{
	const char *jobs;

	if (conf_text(builder->conf, NULL, "master.jobs", &jobs, err) < 0)
		return NULL;
	if (strchr(jobs, ':')) {
		err_set(err, ERR_CONFIG, "master.jobs: the builder takes no folder with a colon in its name");
		return NULL;
	}
	return arena_printf(arena, "%s:%s", jobs, within(builder, arena, "values.yaml"));
}

/* --- reading what it made */

static int check_name(const struct site *site, const char *name, struct err *err)
{
	if (strncmp(name, site->prefix, strlen(site->prefix)) != 0)
		return err_set(err, ERR_CONFIG, "the templates make %s: it has not our prefix, %s", name, site->prefix);
	if (strpbrk(name, "/?*%!@#$^&|<>[]:;\\\"'{}"))
		return err_set(err, ERR_CONFIG, "the templates make %s: no master takes that name", name);
	return 0;
}

static int read_item(struct arena *arena, const char *path, struct jenkins_item *item, struct err *err)
{
	size_t length, name;

	item->xml = file_read(arena, path, XML_MAXIMUM, &length, err);
	if (!item->xml)
		return -1;
	item->root = jenkins_xml_parse(arena, item->xml, length, err);
	if (!item->root)
		return err_wrap(err, "%s", item->name);
	item->form = jenkins_xml_form(arena, item->root, false);
	name = strlen(item->root->name);
	item->view = name > 4 && strcmp(item->root->name + name - 4, "View") == 0;
	return 0;
}

static int by_name(const void *one, const void *other)
{
	const struct jenkins_item *a = one, *b = other;

	return a->view != b->view ? a->view - b->view : strcmp(a->name, b->name);
}

/* FOLDER/NAME/config.xml, one for each. */
static int read_items(const struct jenkins_builder *builder, struct arena *arena, const char *folder, struct jenkins_items *items,
	struct err *err)
{
	DIR *all = opendir(folder);
	const struct dirent *entry;
	int done = all ? 0 : err_set_errno(err, errno, "%s", folder);

	items->v = arena_alloc(arena, ITEMS * sizeof *items->v);
	items->count = 0;
	while (done == 0 && all && (entry = readdir(all)) != NULL) {
		struct jenkins_item *item = &items->v[items->count];

		if (entry->d_name[0] == '.')
			continue;
		if (items->count == ITEMS) {
			done = err_set(err, ERR_FULL, "over %d jobs and views", ITEMS);
			break;
		}
		item->name = arena_strdup(arena, entry->d_name);
		done = check_name(builder->site, item->name, err);
		if (done == 0)
			done = read_item(arena, arena_printf(arena, "%s/%s/config.xml", folder, item->name), item, err);
		items->count++;
	}
	if (all)
		closedir(all);
	if (items->count)
		qsort(items->v, items->count, sizeof *items->v, by_name);
	return done;
}

int jenkins_builder_render(const struct jenkins_builder *builder, struct arena *arena, const json_t *values,
	struct jenkins_items *items, struct err *err)
{
	char *text = json_dumps(values, JSON_INDENT(1));
	const char *out = within(builder, arena, "out"), *from = sources(builder, arena, err), *secret;
	struct strv argv = STRV_INIT;
	int done = -1;

	if (from && file_write(within(builder, arena, "values.yaml"), text, strlen(text), 0600, err) == 0 &&
		start(builder, arena, &argv, false, &secret, err) == 0) {
		strv_pushl(&argv, "test", "--config-xml", "-o", out, from, NULL);
		done = run(builder, arena, &argv, secret, err);
	}
	if (done == 0)
		done = read_items(builder, arena, *builder->site->folder ? arena_printf(arena, "%s/%s", out, builder->site->folder) : out, items,
			err);
	strv_release(&argv);
	free(text);
	return done;
}

int jenkins_builder_apply(const struct jenkins_builder *builder, struct arena *arena, const char *const *names, struct err *err)
{
	const struct site *site = builder->site;
	const char *from = sources(builder, arena, err), *secret;
	struct strv argv = STRV_INIT;
	int done = -1;

	if (from && start(builder, arena, &argv, true, &secret, err) == 0) {
		strv_pushl(&argv, "update", "--jobs-only", from, NULL);
		for (; *names; names++)
			strv_pushf(&argv, "%s%s%s", site->folder, *site->folder ? "/" : "", *names);
		done = run(builder, arena, &argv, secret, err);
	}
	strv_release(&argv);
	return done;
}
