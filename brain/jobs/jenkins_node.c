/* byoci jenkins update-slave and slave-secret: the nodes of a slave on the masters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/jsonget.h"
#include "jobs/jenkins.h"
#include "jobs/jenkins_node.h"
#include "jobs/jenkins_fill.h"
#include "jobs/jenkins_launch.h"
#include "jobs/jenkins_list.h"
#include "master/verdict.h"

enum { SECRET_MAXIMUM = 256 };

#define SLAVE_TYPE "hudson.slaves.DumbSlave"

struct node_work {
	struct jenkins *jenkins;
	struct arena *arena;
	struct site site;
	struct master *master;
	bool dry;
	bool by_command; /* --command: the master starts the agent, also where that takes a plugin */
};

/* POSTs the form of a node. */
static int post_form(struct node_work *work, const char *path, const struct jenkins_node *node, struct err *err)
{
	json_t *json = jenkins_launch_form(node);
	char *text = json_dumps(json, JSON_COMPACT);
	const char *type = master_dialect(work->master) == MASTER_HUDSON ? SLAVE_TYPE "$DescriptorImpl" : SLAVE_TYPE;
	const char *form = arena_printf(work->arena, "name=%s&type=%s&json=%s", site_escape(work->arena, node->name),
		site_escape(work->arena, type), site_escape(work->arena, text));
	int done = master_post_form(work->master, path, form, err);

	free(text);
	json_decref(json);
	return done;
}

/* The reply at a path of the node; 404 has status 404. */
static int get(struct node_work *work, const char *path, struct http_reply *reply, struct err *err)
{
	const struct master_request request = {.path = path};

	if (master_once(work->master, &request, work->arena, reply, err) < 0)
		return -1;
	return reply->status == 200 || reply->status == 404 ? 0 : verdict_refusal(work->site.url, reply, path, err);
}

static int not_ours(const struct node_work *work, const struct jenkins_node *node, struct err *err)
{
	return err_set(err, ERR_REFUSED, "%s has a node %s already that is not ours: rename it, or the section [slave/…]", work->site.url,
		node->name);
}

/* What `update` found, or did. */
static void tell(const struct node_work *work, const struct jenkins_node *node, const char *done, const char *dry)
{
	printf("%s node %s: %s, label %s\n", work->dry ? dry : done, node->name, node->command ? "started over ssh" : "inbound agent",
		node->labels);
	fflush(stdout);
}

static int update_jenkins(struct node_work *work, const struct jenkins_node *node, struct err *err)
{
	const char *path = arena_printf(work->arena, "computer/%s/config.xml", site_escape(work->arena, node->name));
	struct jenkins_xml *root;
	struct http_reply reply;

	if (get(work, path, &reply, err) < 0)
		return -1;
	if (reply.status == 404) {
		if (!work->dry && post_form(work, "computer/doCreateItem", node, err) < 0)
			return -1;
		tell(work, node, "made", "make");
		return 0;
	}
	root = jenkins_xml_parse(work->arena, reply.body, reply.length, err);
	if (!root)
		return err_wrap(err, "%s", path);
	if (!strstr(jenkins_xml_text(root, "description"), jenkins_fill_mark_begin(work->jenkins->conf, work->arena)))
		return not_ours(work, node, err);
	if (!jenkins_launch_mend(work->arena, root, node)) {
		printf("as wanted: node %s\n", node->name);
		return 0;
	}
	if (!work->dry && master_post_xml(work->master, path, jenkins_xml_form(work->arena, root, false), err) < 0)
		return -1;
	tell(work, node, "changed", "change");
	return 0;
}

/* Hudson tells no more of a node than its description, as that of the label that has its name; it has a digest of the rest. */
static int update_hudson(struct node_work *work, const struct jenkins_node *node, struct err *err)
{
	const char *name = site_escape(work->arena, node->name), *path = arena_printf(work->arena, "computer/%s/api/json", name), *about;
	struct http_reply reply;
	json_t *label;

	if (get(work, path, &reply, err) < 0)
		return -1;
	if (reply.status == 404) {
		if (!work->dry && post_form(work, "computer/doCreateItem", node, err) < 0)
			return -1;
		tell(work, node, "made", "make");
		return 0;
	}
	label = master_get_json(work->master, arena_printf(work->arena, "label/%s/api/json?tree=description", name), err);
	if (!label)
		return -1;
	about = arena_strdup(work->arena, jsonget_string_or(label, "description", ""));
	json_decref(label);
	if (strstr(about, node->about)) {
		printf("as wanted: node %s\n", node->name);
		return 0;
	}
	if (!strstr(about, jenkins_fill_mark_begin(work->jenkins->conf, work->arena)))
		return not_ours(work, node, err);
	if (!work->dry && post_form(work, arena_printf(work->arena, "computer/%s/configSubmit", name), node, err) < 0)
		return -1;
	tell(work, node, "changed", "change");
	return 0;
}

/* The command launcher left Jenkins' core in 2017. */
static int need_plugin(struct node_work *work, struct err *err)
{
	json_t *answer = master_get_json(work->master, "pluginManager/api/json?tree=plugins[shortName,active]", err);
	const json_t *plugin;
	bool there = false;
	size_t i;

	if (!answer)
		return -1;
	json_array_foreach(json_object_get(answer, "plugins"), i, plugin) there |=
		strcmp(jsonget_string_or(plugin, "shortName", ""), "command-launcher") == 0 && jsonget_boolean_or(plugin, "active", false);
	json_decref(answer);
	if (there)
		return 0;
	return err_set(err, ERR_REFUSED, "%s has no plugin command-launcher, so it can't start an agent: without --command it comes by itself",
		work->site.url);
}

/* The next sync knows them, and deletes them when the section is gone. */
static int list_nodes(struct node_work *work, const struct jenkins_node nodes[static 2], struct err *err)
{
	struct jenkins_list list;
	const char *folder;
	int fd = jenkins_list_lock(work->jenkins->conf, work->arena, &folder, err), done;

	if (fd < 0)
		return -1;
	done = jenkins_list_load(&list, work->arena, folder, &work->site, err);
	if (done == 0) {
		jenkins_list_set_node(&list, nodes[0].name, true);
		jenkins_list_set_node(&list, nodes[1].name, true);
		done = jenkins_list_save(&list, err);
	}
	jenkins_list_release(&list);
	close(fd);
	return done;
}

static int update_on(struct node_work *work, const char *slave, struct err *err)
{
	bool jenkins = master_dialect(work->master) == MASTER_JENKINS;
	struct jenkins_node nodes[2];

	if (jenkins && work->by_command && need_plugin(work, err) < 0)
		return -1;
	if (jenkins_launch_nodes(work->jenkins->conf, work->arena, slave, jenkins && !work->by_command, nodes, err) < 0)
		return -1;
	if (!work->dry && list_nodes(work, nodes, err) < 0)
		return -1;
	for (unsigned i = 0; i < 2; i++)
		if ((jenkins ? update_jenkins : update_hudson)(work, &nodes[i], err) < 0)
			return err_wrap(err, "node %s", nodes[i].name);
	return 0;
}

/* Masters that no project's jobs run on need no nodes. */
static int needs_nodes(struct node_work *work, const char *name, struct err *err)
{
	json_t *values;
	int needed;

	if (site_load(work->jenkins->conf, work->arena, name, &work->site, err) < 0)
		return -1;
	values = jenkins_fill(work->jenkins->conf, work->arena, &work->site, err);
	needed = !values ? -1 : json_array_size(values) > 0;
	json_decref(values);
	return needed;
}

int jenkins_node_update(struct jenkins *jenkins, int *status, struct err *err)
{
	struct node_work work = {.jenkins = jenkins, .arena = jenkins->arena};
	const struct verb_option options[] = {
		{.name = "--dry-run", .flag = &work.dry}, {.name = "--command", .flag = &work.by_command}, {.name = NULL}};
	const char *rest[2];

	(void)status;
	if (verb_options(jenkins->call, options, rest, 1, err) < 0)
		return -1;
	if (!rest[0])
		return err_set(err, ERR_USAGE, "which slave? It wants the NAME of a [slave/NAME]");
	for (const char *const *name = jenkins->names; *name; name++) {
		int done = needs_nodes(&work, *name, err);

		if (done == 0)
			continue;
		work.master = done < 0 ? NULL : jenkins_masters_open(jenkins, *name, &work.site, err);
		if (!work.master)
			return -1;
		done = update_on(&work, rest[0], err);
		master_free(work.master);
		if (done < 0)
			return -1;
	}
	return 0;
}

/* --- what it says of itself */

int jenkins_node_describe(struct master *master, struct arena *arena, const char *node, const char **about, struct err *err)
{
	struct node_work work = {.arena = arena, .site = *master_site(master), .master = master};
	const char *name = site_escape(arena, node);
	bool jenkins = master_dialect(master) == MASTER_JENKINS;
	const struct jenkins_xml *root;
	struct http_reply reply;
	json_t *label;

	if (get(&work, arena_printf(arena, "computer/%s/%s", name, jenkins ? "config.xml" : "api/json"), &reply, err) < 0)
		return -1;
	if (reply.status == 404)
		return 0;
	if (jenkins) {
		root = jenkins_xml_parse(arena, reply.body, reply.length, err);
		*about = root ? jenkins_xml_text(root, "description") : NULL;
		return root ? 1 : -1;
	}
	label = master_get_json(master, arena_printf(arena, "label/%s/api/json?tree=description", name), err);
	*about = arena_strdup(arena, jsonget_string_or(label, "description", ""));
	json_decref(label);
	return label ? 1 : -1;
}

/* --- the secret of an inbound agent */

/* The first argument of what the agent is to be started with. NULL: ERR_INPUT. */
static const char *secret_of(struct node_work *work, const struct http_reply *reply, struct err *err)
{
	const struct jenkins_xml *root = jenkins_xml_parse(work->arena, reply->body, reply->length, err);
	const struct jenkins_xml *run = root ? jenkins_xml_child(root, "application-desc") : NULL;
	const char *secret = run ? jenkins_xml_text(run, "argument") : "";

	if (!root)
		return NULL;
	if (!*secret || strspn(secret, "0123456789abcdefABCDEF") != strlen(secret) || strlen(secret) > SECRET_MAXIMUM) {
		err_set(err, ERR_INPUT, "%s tells no secret of that node: is it an inbound agent's?", work->site.url);
		return NULL;
	}
	return secret;
}

static int print_secret(struct node_work *work, const char *node, struct err *err)
{
	static const char *const files[] = {"jenkins-agent.jnlp", "slave-agent.jnlp"};
	const char *secret;
	struct http_reply reply = {.status = 404};

	if (master_dialect(work->master) == MASTER_HUDSON)
		return err_set(err, ERR_REFUSED, "%s is a Hudson: it starts its agents, they have no secrets", work->site.url);
	for (size_t i = 0; i < 2 && reply.status == 404; i++)
		if (get(work, arena_printf(work->arena, "computer/%s/%s", site_escape(work->arena, node), files[i]), &reply, err) < 0)
			return -1;
	if (reply.status == 404)
		return err_set(err, ERR_NOT_FOUND, "%s has no node %s: byoci jenkins update-slave makes it", work->site.url, node);
	secret = secret_of(work, &reply, err);
	if (!secret)
		return -1;
	puts(secret);
	return 0;
}

int jenkins_node_secret(struct jenkins *jenkins, int *status, struct err *err)
{
	struct node_work work = {.jenkins = jenkins, .arena = jenkins->arena};
	const char *name = jenkins->names[0], *rest[2];
	const struct verb_option options[] = {{.name = "--master", .value = &name}, {.name = NULL}};
	int done;

	(void)status;
	if (verb_options(jenkins->call, options, rest, 1, err) < 0)
		return -1;
	if (!rest[0])
		return err_set(err, ERR_USAGE, "which node? NAME or NAME-land, of a [slave/NAME]");
	work.master = jenkins_masters_open(jenkins, name, &work.site, err);
	if (!work.master)
		return -1;
	done = print_secret(&work, rest[0], err);
	master_free(work.master);
	return done;
}
