#include "jobs/jenkins_list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/file.h"
#include "base/jsonget.h"
#include "forge/text.h"

enum { MAXIMUM = 256 << 20, NODES = 1000000, ID = 16 };

int jenkins_list_lock(const struct conf *conf, struct arena *arena, const char **folder, struct err *err)
{
	const char *state, *path;
	int fd;

	if (conf_text(conf, NULL, "state", &state, err) < 0)
		return -1;
	*folder = arena_printf(arena, "%s/brain/jenkins", state);
	path = arena_printf(arena, "%s/lock", *folder);
	if (file_make_folder(*folder, 0700, err) < 0)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set_errno(err, errno, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return err_set(err, ERR_BUSY, "another byoci jenkins sync is at work: run it again when that has ended");
	}
	return fd;
}

static const char *path_of(struct arena *arena, const char *folder, const struct site *site)
{
	const char *all = arena_printf(arena, "%s\n%s", site->url, site->folder);
	char digest[CRYPTO_SHA256_HEX];

	crypto_sha256(all, strlen(all), digest);
	return arena_printf(arena, "%s/list-%.*s.json", folder, ID, digest);
}

int jenkins_list_load(struct jenkins_list *list, struct arena *arena, const char *folder, const struct site *site, struct err *err)
{
	size_t length;
	const char *text;
	json_t *all, *rows;
	const json_t *node;
	size_t i;

	list->path = path_of(arena, folder, site);
	list->rows = NULL;
	list->nodes = json_object();
	text = file_read(arena, list->path, MAXIMUM, &length, err);
	if (!text && err->kind != ERR_NOT_FOUND) {
		jenkins_list_release(list);
		return -1;
	}
	if (!text) {
		err_clear(err);
		list->rows = json_object();
		return 0;
	}
	all = jsonget_parse(text, length, NODES, err);
	if (!all || jsonget_object(all, "rows", &rows, err) < 0) {
		json_decref(all);
		jenkins_list_release(list);
		return err_wrap(err, "%s", list->path);
	}
	list->rows = json_incref(rows);
	json_array_foreach(json_object_get(all, "nodes"), i, node) if (json_is_string(node))
		jenkins_list_set_node(list, json_string_value(node), true);
	json_decref(all);
	return 0;
}

int jenkins_list_save(const struct jenkins_list *list, struct err *err)
{
	json_t *nodes = json_array(), *all = json_pack("{s:i, s:O, s:o}", "version", 1, "rows", list->rows, "nodes", nodes), *in;
	const char *name;
	char *text;
	int done;

	json_object_foreach(list->nodes, name, in) json_array_append_new(nodes, json_string(name));
	text = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
	done = file_write(list->path, text, strlen(text), 0600, err);
	free(text);
	json_decref(all);
	return done;
}

void jenkins_list_release(struct jenkins_list *list)
{
	json_decref(list->rows);
	json_decref(list->nodes);
	list->rows = list->nodes = NULL;
}

void jenkins_list_set_node(struct jenkins_list *list, const char *name, bool in)
{
	if (in)
		json_object_set_new(list->nodes, name, json_true());
	else
		json_object_del(list->nodes, name);
}

static char *key(struct arena *arena, const char *name, bool view)
{
	return arena_printf(arena, "%s %s", view ? "view" : "job", name);
}

bool jenkins_list_row(const struct jenkins_list *list, const char *name, bool view, struct jenkins_row *row)
{
	struct arena *arena = arena_new();
	const json_t *found = json_object_get(list->rows, key(arena, name, view));

	arena_free(arena);
	if (!found)
		return false;
	row->made = jsonget_boolean_or(found, "made", false);
	row->wanted = jsonget_string_or(found, "wanted", "");
	row->seen = jsonget_string_or(found, "seen", "");
	return true;
}

void jenkins_list_set(struct jenkins_list *list, const char *name, bool view, const struct jenkins_row *row)
{
	struct arena *arena = arena_new();

	if (row)
		json_object_set_new(list->rows, key(arena, name, view),
			json_pack("{s:b, s:o, s:o}", "made", row->made, "wanted", text_json(row->wanted), "seen", text_json(row->seen)));
	else
		json_object_del(list->rows, key(arena, name, view));
	arena_free(arena);
}

enum jenkins_act jenkins_list_act(const char *wanted, const struct jenkins_row *row, const struct jenkins_sight *sight, bool prefixed)
{
	bool made = row && row->made;

	if (!sight->there)
		return wanted ? JENKINS_CREATE : JENKINS_FORGET;
	if (!wanted)
		return row && prefixed && sight->marked ? JENKINS_DELETE : JENKINS_LEAVE;
	if (!made && !sight->marked)
		return JENKINS_REFUSE;
	if (strcmp(wanted, sight->form) == 0)
		return JENKINS_KEEP;
	if (made && strcmp(row->wanted, wanted) == 0 && strcmp(row->seen, sight->form) == 0)
		return JENKINS_KEEP;
	return JENKINS_CHANGE;
}
