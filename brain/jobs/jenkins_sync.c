/*
 * byoci jenkins sync: jobs and views of a master as the templates and the configuration want them. What is shown is done: the list of
 * what we made is written before anything is made, and after. Killed anywhere, the next run does the rest. And byoci jenkins remove, for
 * which nothing is wanted.
 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "forge/text.h"
#include "jobs/jenkins.h"
#include "jobs/jenkins_fill.h"
#include "jobs/jenkins_plan.h"
#include "jobs/jenkins_retire.h"

enum { FILES = 16 };

struct sync {
	struct jenkins *jenkins;
	struct arena *arena;
	bool dry;
	bool away;          /* all that we made goes */
	const char *folder; /* of lists; "work" in it is this run's */
	const char *work;
	const char *mark;
	json_t *told;       /* --json; NULL: text */
	struct master *master;
	struct site site;
	struct jenkins_items items;
	struct jenkins_list list;
	struct jenkins_plan plan;
	bool used;          /* some project's jobs run there, on nodes of our slaves */
	struct jenkins_retire retire;
};

static int unlink_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

/* An empty one; what a run that was killed left is removed. */
static int make_work(const struct sync *sync, struct err *err)
{
	if (nftw(sync->work, unlink_one, FILES, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
		return err_set_errno(err, errno, "removing %s", sync->work);
	return file_make_folder(sync->work, 0700, err);
}

static void remove_work(const struct sync *sync)
{
	(void)nftw(sync->work, unlink_one, FILES, FTW_DEPTH | FTW_PHYS);
}

/* --- what is wanted, and what there is */

static int render(struct sync *sync, struct err *err)
{
	const struct jenkins_builder builder = {.conf = sync->jenkins->conf, .site = &sync->site, .folder = sync->work};
	json_t *values = jenkins_fill(sync->jenkins->conf, sync->arena, &sync->site, err);
	int done = -1;

	if (!values || make_work(sync, err) < 0) {
		json_decref(values);
		return -1;
	}
	sync->used = json_array_size(values) > 0;
	done = sync->used ? jenkins_builder_render(&builder, sync->arena, values, &sync->items, err) : 0;
	json_decref(values);
	return done;
}

static const char *kind_of(const struct jenkins_step *step)
{
	return step->view ? "view" : "job";
}

static int tell_step(struct sync *sync, json_t *changes, const struct jenkins_step *step, struct err *err)
{
	const char *word = jenkins_plan_word(step->act), *diff = "";

	if (!word)
		return 0;
	if (step->act != JENKINS_LEAVE && !(diff = jenkins_plan_diff(sync->arena, step, sync->work, err)))
		return -1;
	if (changes)
		json_array_append_new(changes, json_pack("{s:s, s:s, s:o, s:o}", "act", word, "kind", kind_of(step), "name",
			text_json(step->name), "diff", text_json(diff)));
	else
		printf("%s %s %s%s\n%s", word, kind_of(step), step->name,
			step->act == JENKINS_LEAVE ? ": it is in our list, but has not our prefix or is not ours any more" : "", diff);
	return 0;
}

static int tell(struct sync *sync, struct err *err)
{
	const char *dialect = jenkins_masters_dialect(sync->arena, sync->master);
	json_t *changes = sync->told ? json_array() : NULL;
	size_t kept = jenkins_plan_count(&sync->plan, JENKINS_KEEP);
	int done = 0;

	if (!changes)
		printf("%s, %s: %zu as wanted, %zu to create, %zu to change, %zu to delete\n", sync->site.url, dialect, kept,
			jenkins_plan_count(&sync->plan, JENKINS_CREATE), jenkins_plan_count(&sync->plan, JENKINS_CHANGE),
			jenkins_plan_count(&sync->plan, JENKINS_DELETE) + jenkins_retire_count(&sync->retire));
	for (size_t i = 0; done == 0 && i < sync->plan.count; i++)
		done = tell_step(sync, changes, &sync->plan.v[i], err);
	jenkins_retire_tell(&sync->retire, changes);
	if (changes)
		json_array_append_new(sync->told,
			json_pack("{s:s, s:s, s:s, s:I, s:o}", "master", sync->site.name, "url", sync->site.url, "dialect", dialect, "kept",
				(json_int_t)kept, "changes", changes));
	fflush(stdout);
	return done;
}

/* --- doing it */

/* What the next run must know of, also when this one is killed. */
static int announce(struct sync *sync, struct err *err)
{
	static const struct jenkins_row begun = {.made = false, .wanted = "", .seen = ""};
	struct jenkins_row row;

	for (size_t i = 0; i < sync->plan.count; i++) {
		const struct jenkins_step *step = &sync->plan.v[i];

		if (step->act == JENKINS_CREATE || (step->item && !jenkins_list_row(&sync->list, step->name, step->view, &row)))
			jenkins_list_set(&sync->list, step->name, step->view, &begun);
		if (step->act == JENKINS_FORGET || (step->act == JENKINS_LEAVE && !step->sight.marked))
			jenkins_list_set(&sync->list, step->name, step->view, NULL);
	}
	return jenkins_list_save(&sync->list, err);
}

static bool is_put(const struct jenkins_step *step)
{
	return step->act == JENKINS_CREATE || step->act == JENKINS_CHANGE;
}

static int put_jobs(struct sync *sync, struct err *err)
{
	const struct jenkins_builder builder = {.conf = sync->jenkins->conf, .site = &sync->site, .folder = sync->work};
	const char **names = arena_alloc(sync->arena, (sync->plan.count + 1) * sizeof *names);
	size_t count = 0;

	for (size_t i = 0; i < sync->plan.count; i++)
		if (is_put(&sync->plan.v[i]) && !sync->plan.v[i].view)
			names[count++] = sync->plan.v[i].name;
	return count ? jenkins_builder_apply(&builder, sync->arena, names, err) : 0;
}

static int put_views(struct sync *sync, struct err *err)
{
	for (size_t i = 0; i < sync->plan.count; i++) {
		const struct jenkins_step *step = &sync->plan.v[i];

		if (is_put(step) && step->view &&
			jenkins_view_put(sync->master, sync->arena, step->item, step->sight.there, err) < 0)
			return err_wrap(err, "view %s", step->name);
	}
	return 0;
}

/* A line for who asks what became of it. */
static void tell_done(const struct sync *sync, const struct jenkins_step *step)
{
	static const char *const words[] = {[JENKINS_CREATE] = "made", [JENKINS_CHANGE] = "changed", [JENKINS_DELETE] = "deleted"};

	if (!sync->told)
		printf("%s %s %s\n", words[step->act], kind_of(step), step->name);
	fflush(stdout);
}

/* What the master has now is what we wanted, in its own words. */
static int record(struct sync *sync, struct err *err)
{
	for (size_t i = 0; i < sync->plan.count; i++) {
		struct jenkins_step *step = &sync->plan.v[i];
		const struct jenkins_look look = {.name = step->name, .view = step->view, .mark = sync->mark};
		struct jenkins_row row = {.made = true};

		if (!is_put(step) && step->act != JENKINS_KEEP)
			continue;
		if (is_put(step)) {
			if (jenkins_view_look(sync->master, sync->arena, &look, &step->sight, NULL, err) < 0)
				return -1;
			if (!step->sight.there)
				return err_set(err, ERR_INPUT, "%s %s is not there after it was made", kind_of(step), step->name);
			tell_done(sync, step);
		}
		row.wanted = step->item->form;
		row.seen = step->sight.form;
		jenkins_list_set(&sync->list, step->name, step->view, &row);
	}
	return jenkins_list_save(&sync->list, err);
}

static int delete_one(struct sync *sync, const struct jenkins_step *step, struct err *err)
{
	if (jenkins_view_delete(sync->master, sync->arena, step->name, step->view, err) < 0)
		return err_wrap(err, "%s %s", kind_of(step), step->name);
	tell_done(sync, step);
	jenkins_list_set(&sync->list, step->name, step->view, NULL);
	return 0;
}

/* Views first: they show jobs. A row of what is gone already is no harm: the list is written once. */
static int delete_all(struct sync *sync, struct err *err)
{
	struct err why;
	int done = 0;

	for (int view = 1; view >= 0; view--)
		for (size_t i = 0; done == 0 && i < sync->plan.count; i++)
			if (sync->plan.v[i].act == JENKINS_DELETE && sync->plan.v[i].view == view)
				done = delete_one(sync, &sync->plan.v[i], err);
	if (jenkins_list_save(&sync->list, &why) < 0 && done == 0) {
		*err = why;
		done = -1;
	}
	return done;
}

static int apply(struct sync *sync, struct err *err)
{
	if (announce(sync, err) < 0)
		return -1;
	if (put_jobs(sync, err) < 0)
		return -1;
	if (put_views(sync, err) < 0 || record(sync, err) < 0 || delete_all(sync, err) < 0)
		return -1;
	return jenkins_retire_do(&sync->retire, !sync->told, err);
}

/* --- nothing of it is wanted any more */

static void tell_away(const struct sync *sync, json_t *changes, const struct jenkins_step *step)
{
	const char *word = jenkins_plan_word(step->act);

	if (changes && word)
		json_array_append_new(changes, json_pack("{s:s, s:s, s:s}", "act", word, "kind", kind_of(step), "name", step->name));
	else if (step->act == JENKINS_LEAVE)
		printf("leave %s %s: it has not our prefix, or does not say any more that it is ours\n", kind_of(step), step->name);
	else if (step->act == JENKINS_DELETE && sync->dry)
		printf("delete %s %s\n", kind_of(step), step->name);
}

/* Only what stands in the list of the last sync and still is ours, and nodes that say that they are. */
static int clear(struct sync *sync, struct err *err)
{
	json_t *changes = sync->told ? json_array() : NULL;
	int done;

	for (size_t i = 0; i < sync->plan.count; i++)
		tell_away(sync, changes, &sync->plan.v[i]);
	jenkins_retire_tell(&sync->retire, changes);
	done = sync->dry ? 0 : delete_all(sync, err);
	if (done == 0 && !sync->dry)
		done = jenkins_retire_do(&sync->retire, !changes, err);
	if (changes)
		json_array_append_new(
			sync->told, json_pack("{s:s, s:s, s:o}", "master", sync->site.name, "url", sync->site.url, "changes", changes));
	return done;
}

/* --- one master, and all */

static int work_on(struct sync *sync, struct err *err)
{
	const struct jenkins_planning planning = {
		.master = sync->master, .items = &sync->items, .list = &sync->list, .mark = sync->mark};
	size_t refused;

	sync->items = (struct jenkins_items){0};
	if ((!sync->away && render(sync, err) < 0) || jenkins_list_load(&sync->list, sync->arena, sync->folder, &sync->site, err) < 0)
		return -1;
	if (jenkins_plan_make(&planning, sync->arena, &sync->plan, err) < 0)
		return -1;
	sync->retire = (struct jenkins_retire){
		.master = sync->master, .list = &sync->list, .mark = sync->mark, .all = sync->away, .dry = sync->dry};
	if (jenkins_retire_look(&sync->retire, sync->jenkins->conf, sync->arena, sync->used, err) < 0)
		return -1;
	if (sync->away)
		return clear(sync, err);
	if (tell(sync, err) < 0)
		return -1;
	refused = jenkins_plan_count(&sync->plan, JENKINS_REFUSE);
	if (refused)
		return err_set(err, ERR_REFUSED, "nothing was done: %zu of the names belong to jobs or views that are not ours (refuse, above): "
			"rename those, or set master.prefix", refused);
	return sync->dry ? 0 : apply(sync, err);
}

static int sync_one(struct sync *sync, const char *name, struct err *err)
{
	int done;

	sync->master = jenkins_masters_open(sync->jenkins, name, &sync->site, err);
	if (!sync->master)
		return -1;
	done = work_on(sync, err);
	jenkins_list_release(&sync->list);
	master_free(sync->master);
	return done;
}

/* One that fails does not keep the others from their jobs. */
static void sync_all(struct sync *sync, int *status)
{
	for (const char *const *name = sync->jenkins->names; *name; name++) {
		struct err err = {.kind = ERR_NONE};

		sync->list.rows = sync->list.nodes = NULL;
		if (sync_one(sync, *name, &err) == 0)
			continue;
		if (**name)
			err_wrap(&err, "master %s", *name);
		*status = verb_fail(sync->jenkins->call, &err);
	}
}

static int sync_or_remove(struct jenkins *jenkins, bool away, int *status, struct err *err)
{
	struct sync sync = {.jenkins = jenkins, .arena = jenkins->arena, .away = away};
	const struct verb_option options[] = {{.name = "--dry-run", .flag = &sync.dry}, {.name = NULL}};
	const char *rest[1];
	int fd;

	if (verb_options(jenkins->call, options, rest, 0, err) < 0)
		return -1;
	fd = jenkins_list_lock(jenkins->conf, sync.arena, &sync.folder, err);
	if (fd < 0)
		return -1;
	sync.work = arena_printf(sync.arena, "%s/work", sync.folder);
	sync.mark = jenkins_fill_mark_begin(jenkins->conf, sync.arena);
	sync.told = jenkins->call->json ? json_array() : NULL;
	sync_all(&sync, status);
	remove_work(&sync);
	if (sync.told) {
		json_dumpf(sync.told, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(sync.told);
	}
	close(fd);
	return 0;
}

int jenkins_sync(struct jenkins *jenkins, int *status, struct err *err)
{
	return sync_or_remove(jenkins, false, status, err);
}

int jenkins_sync_remove(struct jenkins *jenkins, int *status, struct err *err)
{
	return sync_or_remove(jenkins, true, status, err);
}
