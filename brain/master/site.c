#include "master/site.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { PART_MAXIMUM = 200 };

static const char hexadecimal[] = "0123456789ABCDEF";

char *site_escape(struct arena *arena, const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-";
	char *escaped = arena_alloc(arena, strlen(text) * 3 + 1), *to = escaped;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (strchr(plain, c)) {
			*to++ = (char)c;
			continue;
		}
		*to++ = '%';
		*to++ = hexadecimal[c >> 4];
		*to++ = hexadecimal[c & 15];
	}
	return escaped;
}

/* What a master takes for a name: no signs that it refuses itself, none that a path gives a meaning. */
static bool is_part(const char *part, size_t length)
{
	if (length == 0 || length > PART_MAXIMUM || part[0] == '.' || part[0] == ' ' || part[length - 1] == ' ')
		return false;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)part[i] < ' ' || part[i] == 127 || strchr("/?*%!@#$^&|<>[]:;\\\"'{}", part[i]))
			return false;
	return true;
}

static bool is_folder(const char *folder)
{
	for (const char *part = folder;; part++) {
		size_t length = strcspn(part, "/");

		if (!is_part(part, length))
			return false;
		part += length;
		if (!*part)
			return true;
	}
}

static int check(struct arena *arena, const char *where, struct site *site, struct err *err)
{
	size_t length = strlen(site->url);

	if (strncmp(site->url, "http://", 7) != 0 && strncmp(site->url, "https://", 8) != 0)
		return err_set(err, ERR_CONFIG, "%surl: %s is no address of a master; http://HOST:PORT/ would be", where, site->url);
	if (strpbrk(site->url, "?#"))
		return err_set(err, ERR_CONFIG, "%surl: a master's root has no ? and no #", where);
	while (length > 0 && site->url[length - 1] == '/')
		length--;
	site->url = arena_printf(arena, "%.*s/", (int)length, site->url);
	if (*site->folder && !is_folder(site->folder))
		return err_set(err, ERR_CONFIG, "%sfolder: must be names with / between them: A or A/B", where);
	if (*site->prefix && !is_part(site->prefix, strlen(site->prefix)))
		return err_set(err, ERR_CONFIG, "%sprefix: no name of a job can begin with it", where);
	if (site->user && (!*site->user || strchr(site->user, ':')))
		return err_set(err, ERR_CONFIG, "%suser: a user's name has no colon", where);
	return 0;
}

struct row {
	const char *option;
	size_t at; /* of the text in struct site */
};

static const struct row rows[] = {
	{"url", offsetof(struct site, url)},
	{"user", offsetof(struct site, user)},
	{"secret", offsetof(struct site, secret)},
	{"ca", offsetof(struct site, ca)},
	{"folder", offsetof(struct site, folder)},
	{"prefix", offsetof(struct site, prefix)},
};

int site_load(const struct conf *conf, struct arena *arena, const char *name, struct site *site, struct err *err)
{
	bool own = !name || !*name;
	const char *section = own ? NULL : arena_printf(arena, "master/%s", name), *where = own ? "master." : "";
	struct site found = {.name = own ? "" : arena_strdup(arena, name)};
	int64_t at_once;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *value, *copy;

		if (conf_text(conf, section, arena_printf(arena, "%s%s", where, rows[i].option), &value, err) < 0)
			return -1;
		copy = arena_strdup(arena, value);
		memcpy((char *)&found + rows[i].at, &copy, sizeof copy);
	}
	if (!found.url)
		return 0;
	if (conf_integer(conf, section, own ? "master.limit" : "limit", &found.limit_ms, err) < 0 ||
		conf_integer(conf, section, own ? "master.at.once" : "at.once", &at_once, err) < 0)
		return -1;
	found.at_once = (unsigned)at_once;
	if (!found.folder)
		found.folder = "";
	if (!found.prefix)
		found.prefix = "";
	if (check(arena, own ? "master." : arena_printf(arena, "[%s] ", section), &found, err) < 0)
		return -1;
	*site = found;
	return 1;
}

const char *site_of_project(const struct conf *conf, struct arena *arena, const char *project)
{
	const char *const *jobs, *url, *master;
	struct err ignored;

	if (conf_list(conf, arena, arena_printf(arena, "project/%s", project), "jobs", &jobs, &ignored) < 0)
		return NULL;
	for (; *jobs; jobs++)
		if (conf_text(conf, arena_printf(arena, "job/%s", *jobs), "master", &master, &ignored) == 0 && master)
			return arena_strdup(arena, master);
	if (conf_text(conf, NULL, "master.url", &url, &ignored) < 0 || !url)
		return NULL;
	return "";
}

const char *const *site_slaves(const struct conf *conf, struct arena *arena, struct err *err)
{
	const char *const *names = conf_sections(conf, arena, "slave");
	const char **one;

	if (names[0])
		return names;
	one = arena_alloc(arena, 2 * sizeof *one);
	return conf_text(conf, NULL, "slave.name", &one[0], err) < 0 ? NULL : one;
}

bool site_has_us(const struct conf *conf, struct arena *arena)
{
	const char *own;
	struct err ignored;

	if (!conf_sections(conf, arena, "slave")[0])
		return true;
	return conf_text(conf, NULL, "slave.name", &own, &ignored) == 0 && conf_has_section(conf, arena_printf(arena, "slave/%s", own));
}

char *site_job(const struct site *site, struct arena *arena, const char *project, const char *kind)
{
	return arena_printf(arena, "%s%s-%s", site->prefix, project, kind);
}

char *site_folder_path(const struct site *site, struct arena *arena)
{
	char *path = arena_strdup(arena, "");

	for (const char *part = site->folder; *part; part += strspn(part, "/")) {
		size_t length = strcspn(part, "/");

		path = arena_printf(arena, "%sjob/%s/", path, site_escape(arena, arena_memdup(arena, part, length)));
		part += length;
	}
	return path;
}

char *site_job_path(const struct site *site, struct arena *arena, const char *job)
{
	return arena_printf(arena, "%sjob/%s", site_folder_path(site, arena), site_escape(arena, job));
}
