#include "jobs/jenkins_launch.h"

#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "forge/text.h"
#include "jobs/jenkins_fill.h"

#define ALWAYS "hudson.slaves.RetentionStrategy$Always"
#define INBOUND "hudson.slaves.JNLPLauncher"
#define COMMAND "hudson.slaves.CommandLauncher"

enum { DIGEST = 12 };

/* The master cuts the command into words by blanks and quotes, without a shell: no word has any. */
static int check_word(const char *where, const char *word, struct err *err)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~@%+=:,/[]-";

	if (!*word || *word == '-' || strspn(word, plain) != strlen(word))
		return err_set(err, ERR_CONFIG,
			"%s: %s can't be a word of the command that the master starts: only letters, digits and ._~@%%+=:,/[]-", where, word);
	return 0;
}

/* "HOST", "HOST:PORT", "[::1]:PORT" */
static int split_address(struct arena *arena, const char *where, const char *address, const char **host, const char **port,
	struct err *err)
{
	const char *bracket = strchr(address, ']'), *colon = strrchr(bracket ? bracket : address, ':');

	*port = "22";
	*host = address;
	if (colon) {
		*host = arena_memdup(arena, address, (size_t)(colon - address));
		*port = colon + 1;
	}
	if (**host == '[' && bracket)
		*host = arena_memdup(arena, address + 1, (size_t)(bracket - address - 1));
	if (!**port || strspn(*port, "0123456789") != strlen(*port) || strlen(*port) > 5)
		return err_set(err, ERR_CONFIG, "%s: %s is no HOST or HOST:PORT", where, address);
	return check_word(where, *host, err);
}

static const char *ssh_command(const struct conf *conf, struct arena *arena, const char *section, struct err *err)
{
	const char *address, *user, *key, *known, *host, *port, *where = arena_printf(arena, "[%s] address", section);

	if (conf_text(conf, section, "address", &address, err) < 0 || conf_text(conf, section, "user", &user, err) < 0 ||
		conf_text(conf, NULL, "master.key", &key, err) < 0 || conf_text(conf, NULL, "master.known.hosts", &known, err) < 0)
		return NULL;
	if (split_address(arena, where, address, &host, &port, err) < 0 || check_word("master.key", key, err) < 0 ||
		check_word("master.known.hosts", known, err) < 0)
		return NULL;
	return arena_printf(arena,
		"ssh -F none -i %s -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=%s "
		"-o GlobalKnownHostsFile=/dev/null -o ServerAliveInterval=15 -o ConnectTimeout=10 -p %s %s@%s agent",
		key, known, port, user, host);
}

static void describe(const struct conf *conf, struct arena *arena, struct jenkins_node *node, const char *what)
{
	char digest[CRYPTO_SHA256_HEX];
	const char *all = arena_printf(arena, "%s\n%s\n%s\n%s\n%s", node->name, node->work, node->labels, node->command ? node->command : "",
		node->launcher);

	crypto_sha256(all, strlen(all), digest);
	node->about = arena_printf(arena, "%s %s byoci jenkins update-slave undoes changes; %.*s)", what, jenkins_fill_mark_begin(conf, arena),
		DIGEST, digest);
}

int jenkins_launch_nodes(const struct conf *conf, struct arena *arena, const char *slave, bool inbound, struct jenkins_node nodes[static 2],
	struct err *err)
{
	static const char *const kinds[2][3] = {{"", "test", "Tests."}, {"-land", "land", "Lands."}};
	const char *section = arena_printf(arena, "slave/%s", slave), *work, *command = NULL;
	const char *const *labels;

	if (!conf_has_section(conf, section))
		return err_set(err, ERR_NOT_FOUND, "the configuration has no [%s]", section);
	if (conf_text(conf, section, "work", &work, err) < 0 || conf_list(conf, arena, section, "labels", &labels, err) < 0)
		return -1;
	if (!inbound && !(command = ssh_command(conf, arena, section, err)))
		return -1;
	for (unsigned i = 0; i < 2; i++) {
		struct jenkins_node *node = &nodes[i];

		node->name = arena_printf(arena, "%s%s", slave, kinds[i][0]);
		node->work = arena_printf(arena, "%s/%s", work, node->name);
		node->labels = jenkins_fill_label(conf, arena, kinds[i][1]);
		for (const char *const *label = labels; *label; label++)
			node->labels = arena_printf(arena, "%s %s", node->labels, *label);
		node->command = command;
		node->launcher = inbound ? INBOUND : COMMAND;
		describe(conf, arena, node, kinds[i][2]);
	}
	return 0;
}

json_t *jenkins_launch_form(const struct jenkins_node *node)
{
	json_t *launcher = json_pack("{s:s, s:s, s:o*}", "stapler-class", node->launcher, "$class", node->launcher, "command",
		node->command ? text_json(node->command) : NULL);

	return json_pack("{s:o, s:o, s:s, s:o, s:o, s:s, s:o, s:{s:s, s:s}, s:{s:s}}", "name", text_json(node->name), "nodeDescription",
		text_json(node->about), "numExecutors", "1", "remoteFS", text_json(node->work), "labelString", text_json(node->labels), "mode",
		"EXCLUSIVE", "launcher", launcher, "retentionStrategy", "stapler-class", ALWAYS, "$class", ALWAYS, "nodeProperties",
		"stapler-class-bag", "true");
}

/* --- config.xml */

/* Its child of that name, made when it is not there. */
static struct jenkins_xml *child_of(struct arena *arena, struct jenkins_xml *root, const char *name)
{
	struct jenkins_xml **at = &root->child;

	while (*at && strcmp((*at)->name, name) != 0)
		at = &(*at)->next;
	if (!*at) {
		*at = arena_alloc(arena, sizeof **at);
		**at = (struct jenkins_xml){.name = name, .attributes = "", .text = ""};
	}
	return *at;
}

static bool set_text(struct arena *arena, struct jenkins_xml *root, const char *name, const char *text)
{
	struct jenkins_xml *child = child_of(arena, root, name);

	if (!child->child && strcmp(child->text, text) == 0)
		return false;
	child->child = NULL;
	child->text = text;
	return true;
}

/* An element of that class; one of another class is made anew. */
static bool set_class(struct arena *arena, struct jenkins_xml *root, const char *name, const char *class)
{
	struct jenkins_xml *child = child_of(arena, root, name);
	const char *wanted = arena_printf(arena, " class=\"%s\"", class);

	if (strcmp(child->attributes, wanted) == 0)
		return false;
	child->attributes = wanted;
	child->child = NULL;
	child->text = "";
	return true;
}

bool jenkins_launch_mend(struct arena *arena, struct jenkins_xml *root, const struct jenkins_node *node)
{
	const struct {
		const char *name, *text;
	} texts[] = {{"description", node->about}, {"remoteFS", node->work}, {"numExecutors", "1"}, {"mode", "EXCLUSIVE"},
		{"label", node->labels}};
	bool changed = set_class(arena, root, "retentionStrategy", ALWAYS);

	changed |= set_class(arena, root, "launcher", node->launcher);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		changed |= set_text(arena, root, texts[i].name, texts[i].text);
	if (node->command)
		changed |= set_text(arena, child_of(arena, root, "launcher"), "agentCommand", node->command);
	return changed;
}
