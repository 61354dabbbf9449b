#include "jobs/jenkins_retire.h"

#include <stdio.h>
#include <string.h>

#include "base/jsonget.h"
#include "jobs/jenkins_node.h"
#include "master/site.h"

/* The health check's words begin so, too: it brings such a node back when its section is there again (build/watch.c). */
#define REASON "byoci: its section is not in the configuration any more"

static bool has(const struct jenkins_retire *retire, const char *name)
{
	for (size_t i = 0; i < retire->count; i++)
		if (strcmp(retire->v[i].name, name) == 0)
			return true;
	return false;
}

static int add(struct jenkins_retire *retire, const char *name, bool wanted, struct err *err)
{
	const char *about = "";
	int there = jenkins_node_describe(retire->master, retire->arena, name, &about, err);
	enum jenkins_act ours = wanted ? JENKINS_KEEP : JENKINS_DELETE;

	if (there < 0)
		return err_wrap(err, "node %s", name);
	retire->v[retire->count++] = (struct jenkins_retiree){.name = name,
		.act = !there ? JENKINS_FORGET : !strstr(about, retire->mark) ? JENKINS_LEAVE : ours};
	return 0;
}

/* Those of the configuration, by its words: they get into the list, whoever made them, and with `all` they go. */
static int add_configured(struct jenkins_retire *retire, const char *const *slaves, bool wanted, struct err *err)
{
	for (; *slaves; slaves++)
		if (add(retire, *slaves, wanted, err) < 0 || add(retire, arena_printf(retire->arena, "%s-land", *slaves), wanted, err) < 0)
			return -1;
	return 0;
}

int jenkins_retire_look(struct jenkins_retire *retire, const struct conf *conf, struct arena *arena, bool used, struct err *err)
{
	const char *const *slaves = site_slaves(conf, arena, err);
	const char *name;
	size_t count = 0;
	json_t *in;

	if (!slaves)
		return -1;
	while (slaves[count])
		count++;
	retire->arena = arena;
	retire->count = 0;
	retire->v = arena_alloc(arena, (2 * count + json_object_size(retire->list->nodes) + 1) * sizeof *retire->v);
	if ((used || retire->all) && add_configured(retire, slaves, !retire->all, err) < 0)
		return -1;
	json_object_foreach(retire->list->nodes, name, in) if (!has(retire, name) &&
		add(retire, arena_strdup(arena, name), false, err) < 0) return -1;
	return 0;
}

size_t jenkins_retire_count(const struct jenkins_retire *retire)
{
	size_t count = 0;

	for (size_t i = 0; i < retire->count; i++)
		count += retire->v[i].act == JENKINS_DELETE;
	return count;
}

/* One that is somebody else's is worth a word when it goes from our list, or all of ours go. */
static const char *word_of(const struct jenkins_retire *retire, const struct jenkins_retiree *one)
{
	if (one->act == JENKINS_LEAVE && (retire->all || json_object_get(retire->list->nodes, one->name)))
		return "leave";
	return one->act == JENKINS_DELETE ? "delete" : NULL;
}

void jenkins_retire_tell(const struct jenkins_retire *retire, json_t *told)
{
	for (size_t i = 0; i < retire->count; i++) {
		const struct jenkins_retiree *one = &retire->v[i];
		const char *word = word_of(retire, one);

		if (word && told)
			json_array_append_new(told, json_pack("{s:s, s:s, s:s}", "act", word, "kind", "node", "name", one->name));
		else if (word && !(retire->all && !retire->dry && one->act == JENKINS_DELETE)) /* it is said when it is done */
			printf("%s node %s%s\n", word, one->name, one->act == JENKINS_LEAVE ? ": it is not ours" : "");
	}
	fflush(stdout);
}

/* --- doing it */

static int post(struct jenkins_retire *retire, const char *node, const char *what, const char *form, struct err *err)
{
	return master_post_form(retire->master,
		arena_printf(retire->arena, "computer/%s/%s", site_escape(retire->arena, node), what), form, err);
}

/* What it says of itself; a word that it does not say is no word for its removal. */
static int look(struct jenkins_retire *retire, const char *node, bool *offline, bool *idle, struct err *err)
{
	const char *path = arena_printf(
		retire->arena, "computer/%s/api/json?tree=idle,temporarilyOffline", site_escape(retire->arena, node));
	json_t *state = master_get_json(retire->master, path, err);
	bool whole = json_is_boolean(json_object_get(state, "idle")) && json_is_boolean(json_object_get(state, "temporarilyOffline"));
	int done = !state ? -1 : whole ? 0 : err_set(err, ERR_INPUT, "%s: it does not say whether it is idle, and offline", path);

	*offline = jsonget_boolean_or(state, "temporarilyOffline", false);
	*idle = jsonget_boolean_or(state, "idle", false);
	json_decref(state);
	return done;
}

/* Whether a build is on it; none comes any more. 1, 0, -1. */
static int is_busy(struct jenkins_retire *retire, const char *node, struct err *err)
{
	const char *form = arena_printf(retire->arena, "offlineMessage=%s", site_escape(retire->arena, REASON));
	bool offline, idle;

	if (look(retire, node, &offline, &idle, err) < 0 || (!offline && post(retire, node, "toggleOffline", form, err) < 0) ||
		look(retire, node, &offline, &idle, err) < 0) /* as it is after that */
		return -1;
	if (!offline)
		return err_set(err, ERR_BUSY, "it is not offline after we took it offline: somebody else brings it back");
	return !idle;
}

static int delete_one(struct jenkins_retire *retire, const char *node, bool aloud, struct err *err)
{
	int busy = retire->all ? 0 : is_busy(retire, node, err);

	if (busy < 0 || (!busy && post(retire, node, "doDelete", "", err) < 0))
		return err_wrap(err, "node %s", node);
	if (!busy)
		jenkins_list_set_node(retire->list, node, false);
	if (aloud && busy)
		printf("offline node %s: a build is on it, the next sync after that deletes it\n", node);
	else if (aloud)
		printf("deleted node %s\n", node);
	fflush(stdout);
	return 0;
}

int jenkins_retire_do(struct jenkins_retire *retire, bool aloud, struct err *err)
{
	struct err why;
	int done = 0;

	for (size_t i = 0; done == 0 && i < retire->count; i++) {
		const struct jenkins_retiree *one = &retire->v[i];

		if (one->act == JENKINS_DELETE)
			done = delete_one(retire, one->name, aloud, err);
		else
			jenkins_list_set_node(retire->list, one->name, one->act == JENKINS_KEEP);
	}
	if (jenkins_list_save(retire->list, &why) < 0 && done == 0) {
		*err = why;
		done = -1;
	}
	return done;
}
