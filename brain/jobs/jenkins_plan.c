#include "jobs/jenkins_plan.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/child.h"
#include "base/file.h"

enum { DIFF_MAXIMUM = 16 << 20 };

static const char *const kinds[] = {"job", "view"};

/* Looks at it and decides. */
static int decide(const struct jenkins_planning *planning, struct arena *arena, struct jenkins_step *step, struct err *err)
{
	const struct jenkins_look look = {.name = step->name, .view = step->view, .mark = planning->mark};
	const char *prefix = master_site(planning->master)->prefix;
	struct jenkins_row row;
	bool known = jenkins_list_row(planning->list, step->name, step->view, &row);

	if (jenkins_view_look(planning->master, arena, &look, &step->sight, &step->shown, err) < 0)
		return -1;
	step->act = jenkins_list_act(step->item ? step->item->form : NULL, known ? &row : NULL, &step->sight,
		strncmp(step->name, prefix, strlen(prefix)) == 0);
	return 0;
}

static const struct jenkins_item *find(const struct jenkins_items *items, const char *name, bool view)
{
	for (size_t i = 0; i < items->count; i++)
		if (items->v[i].view == view && strcmp(items->v[i].name, name) == 0)
			return &items->v[i];
	return NULL;
}

int jenkins_plan_make(const struct jenkins_planning *planning, struct arena *arena, struct jenkins_plan *plan, struct err *err)
{
	const struct jenkins_items *items = planning->items;
	const char *key;
	json_t *row;

	plan->v = arena_alloc(arena, (items->count + json_object_size(planning->list->rows) + 1) * sizeof *plan->v);
	plan->count = 0;
	for (size_t i = 0; i < items->count; i++)
		plan->v[plan->count++] = (struct jenkins_step){.name = items->v[i].name, .view = items->v[i].view, .item = &items->v[i]};
	json_object_foreach(planning->list->rows, key, row)
	{
		bool view = strncmp(key, "view ", 5) == 0;
		const char *space = strchr(key, ' ');

		if (space && space[1] && !find(items, space + 1, view))
			plan->v[plan->count++] = (struct jenkins_step){.name = arena_strdup(arena, space + 1), .view = view};
	}
	for (size_t i = 0; i < plan->count; i++)
		if (decide(planning, arena, &plan->v[i], err) < 0)
			return -1;
	return 0;
}

size_t jenkins_plan_count(const struct jenkins_plan *plan, enum jenkins_act act)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->count; i++)
		count += plan->v[i].act == act;
	return count;
}

const char *jenkins_plan_word(enum jenkins_act act)
{
	static const char *const names[] = {
		[JENKINS_CREATE] = "create",
		[JENKINS_CHANGE] = "change",
		[JENKINS_DELETE] = "delete",
		[JENKINS_LEAVE] = "leave",
		[JENKINS_REFUSE] = "refuse",
		[JENKINS_FORGET] = NULL,
	};

	return names[act];
}

/* Writes one side; its path, or NULL. */
static const char *side(struct arena *arena, const char *folder, const char *name, const char *text, struct err *err)
{
	const char *path = arena_printf(arena, "%s/%s", folder, name);

	return file_write(path, text, strlen(text), 0600, err) < 0 ? NULL : path;
}

char *jenkins_plan_diff(struct arena *arena, const struct jenkins_step *step, const char *folder, struct err *err)
{
	const char *kind = kinds[step->view], *label[] = {arena_printf(arena, "master/%s/%s", kind, step->name),
		arena_printf(arena, "wanted/%s/%s", kind, step->name)};
	const char *wanted = step->item ? jenkins_xml_form(arena, step->item->root, true) : "";
	const char *one = side(arena, folder, "master.xml", step->shown ? step->shown : "", err);
	const char *other = one ? side(arena, folder, "wanted.xml", wanted, err) : NULL;
	const char *const argv[] = {"diff", "-u", "--label", step->sight.there ? label[0] : "/dev/null", "--label",
		step->item ? label[1] : "/dev/null", one, other, NULL};
	const struct child_input input = {.maximum = DIFF_MAXIMUM};
	struct child child = CHILD_INIT;
	struct child_result result;
	char *text = NULL;

	if (!other)
		return NULL;
	child.argv = argv;
	child.dies_with_parent = true;
	if (child_run(&child, &input, &result, err) == 0) {
		if (result.status <= 1)
			text = arena_memdup(arena, result.out.data ? result.out.data : "", result.out.length);
		else
			err_set(err, ERR_SYSTEM, "diff failed with %d", result.status);
	}
	child_result_release(&result);
	return text;
}
