#include "jobs/jenkins_view.h"

#include <stdlib.h>
#include <string.h>

#include "base/jsonget.h"
#include "master/verdict.h"

enum { XML_MAXIMUM = 4 << 20 };

#define LIST_VIEW "hudson.model.ListView"

/* "job/A/job/NAME" or "job/A/view/NAME". */
static const char *path_of(const struct master *master, struct arena *arena, const char *name, bool view)
{
	const struct site *site = master_site(master);

	return view ? arena_printf(arena, "%sview/%s", site_folder_path(site, arena), site_escape(arena, name))
		    : site_job_path(site, arena, name);
}

/* Hudson's answer about a view: its description is all that there is. */
static const struct jenkins_xml *described(struct arena *arena, const struct http_reply *reply, struct err *err)
{
	json_t *json = verdict_json(reply, err);
	struct jenkins_xml *root, *child;

	if (!json)
		return NULL;
	root = arena_alloc(arena, sizeof *root);
	child = arena_alloc(arena, sizeof *child);
	*child = (struct jenkins_xml){.name = "description",
		.attributes = "",
		.text = arena_strdup(arena, jsonget_string_or(json, "description", ""))};
	*root = (struct jenkins_xml){.name = LIST_VIEW, .attributes = "", .text = "", .child = child};
	json_decref(json);
	return root;
}

int jenkins_view_look(struct master *master, struct arena *arena, const struct jenkins_look *look, struct jenkins_sight *sight,
	const char **shown, struct err *err)
{
	bool form = look->view && master_dialect(master) == MASTER_HUDSON;
	const char *path = arena_printf(arena, "%s/%s", path_of(master, arena, look->name, look->view),
		form ? "api/json?tree=name,description" : "config.xml");
	const struct master_request request = {.path = path, .maximum = XML_MAXIMUM};
	const struct jenkins_xml *root;
	struct http_reply reply;

	*sight = (struct jenkins_sight){.form = ""};
	if (master_once(master, &request, arena, &reply, err) < 0)
		return -1;
	if (reply.status == 404)
		return 0;
	if (reply.status != 200)
		return verdict_refusal(master_site(master)->url, &reply, path, err);
	root = form ? described(arena, &reply, err) : jenkins_xml_parse(arena, reply.body, reply.length, err);
	if (!root)
		return err_wrap(err, "%s", path);
	sight->there = true;
	sight->form = jenkins_xml_form(arena, root, false);
	sight->marked = strstr(jenkins_xml_text(root, "description"), look->mark) != NULL;
	/* A view is made in two steps there: one without anything was left by a run that was killed between them. */
	if (form && !*jenkins_xml_text(root, "description"))
		sight->marked = true;
	if (shown)
		*shown = jenkins_xml_form(arena, root, true);
	return 0;
}

static const char *form_field(struct arena *arena, const char *form, const char *name, const char *text)
{
	return arena_printf(arena, "%s%s%s=%s", form, *form ? "&" : "", name, site_escape(arena, text));
}

/* What Hudson's form sends of a view. */
static const char *hudson_form(struct arena *arena, const struct jenkins_item *view)
{
	const struct jenkins_xml *columns = jenkins_xml_child(view->root, "columns");
	const char *description = jenkins_xml_text(view->root, "description"), *regex = jenkins_xml_text(view->root, "includeRegex");
	json_t *list = json_array(), *json;
	const char *form;
	char *text;

	for (const struct jenkins_xml *column = columns ? columns->child : NULL; column; column = column->next)
		json_array_append_new(list, json_pack("{s:s, s:s++}", "stapler-class", column->name, "kind", column->name, "$", "DescriptorImpl"));
	json = json_pack("{s:s, s:s, s:{s:s}, s:o}", "name", view->name, "description", description, "useincluderegex", "includeRegex",
		regex, "columns", list);
	text = json_dumps(json, JSON_COMPACT);
	form = form_field(arena, "", "name", view->name);
	form = form_field(arena, form, "description", description);
	form = form_field(arena, form, "useincluderegex", "on");
	form = form_field(arena, form, "includeRegex", regex);
	form = form_field(arena, form, "json", text);
	free(text);
	json_decref(json);
	return form;
}

static int put_hudson(struct master *master, struct arena *arena, const struct jenkins_item *view, bool there, struct err *err)
{
	const char *form = form_field(arena, "", "name", view->name), *path = path_of(master, arena, view->name, true);

	form = form_field(arena, form, "mode", LIST_VIEW);
	form = form_field(arena, form, "json", arena_printf(arena, "{\"name\":\"%s\",\"mode\":\"%s\"}", view->name, LIST_VIEW));
	if (!there && master_post_form(master, "createView", form, err) < 0)
		return -1;
	return master_post_form(master, arena_printf(arena, "%s/configSubmit", path), hudson_form(arena, view), err);
}

int jenkins_view_put(struct master *master, struct arena *arena, const struct jenkins_item *view, bool there, struct err *err)
{
	const struct site *site = master_site(master);

	if (master_dialect(master) == MASTER_HUDSON)
		return put_hudson(master, arena, view, there, err);
	if (there)
		return master_post_xml(
			master, arena_printf(arena, "%s/config.xml", path_of(master, arena, view->name, true)), view->xml, err);
	return master_post_xml(master,
		arena_printf(arena, "%screateView?name=%s", site_folder_path(site, arena), site_escape(arena, view->name)), view->xml, err);
}

int jenkins_view_delete(struct master *master, struct arena *arena, const char *name, bool view, struct err *err)
{
	const char *path = arena_printf(arena, "%s/doDelete", path_of(master, arena, name, view));
	const struct master_request request = {.path = path, .form = ""};
	struct http_reply reply;

	if (master_once(master, &request, arena, &reply, err) < 0)
		return -1;
	if (reply.status == 200 || reply.status == 204 || reply.status == 302 || reply.status == 303 || reply.status == 404)
		return verdict_login(master_site(master)->url, &reply, err);
	return verdict_refusal(master_site(master)->url, &reply, path, err);
}
