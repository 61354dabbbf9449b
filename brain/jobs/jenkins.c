#include "jobs/jenkins.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "forge/text.h"

static const struct {
	const char *name;
	jenkins_fn *run;
} words[] = {
	{"sync", jenkins_sync},
	{"status", jenkins_ask_status},
	{"run-job", jenkins_ask_run},
	{"update-slave", jenkins_node_update},
	{"slave-secret", jenkins_node_secret},
	{"remove", jenkins_sync_remove},
};

/* The brain's user, for good; others stay who they are. */
static int become(const struct conf *conf, struct err *err)
{
	const struct passwd *user;
	const char *name;

	if (geteuid() != 0)
		return 0;
	if (conf_text(conf, NULL, "user", &name, err) < 0)
		return -1;
	errno = 0;
	user = getpwnam(name);
	if (!user)
		return err_set(err, ERR_CONFIG, "user: there is no user %s; setup/byoci %s makes it", name, conf_namespace(conf));
	if (user->pw_uid == 0)
		return 0;
	if (initgroups(user->pw_name, user->pw_gid) < 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
		setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0)
		return err_set_errno(err, errno, "becoming user %s", name);
	return 0;
}

static int run(struct jenkins *jenkins, jenkins_fn *word, int *status, struct err *err)
{
	if (conf_check(jenkins->conf, err) < 0)
		return -1;
	jenkins->names = jenkins_masters(jenkins->conf, jenkins->arena, err);
	if (!jenkins->names)
		return -1;
	if (!jenkins->names[0])
		return err_set(err, ERR_CONFIG, "the configuration has no master: option master.url, or a [master/NAME]");
	if (become(jenkins->conf, err) < 0)
		return -1;
	return word(jenkins, status, err);
}

/* What is told of masters that nobody could be asked about. */
static json_t *unasked(const struct jenkins *jenkins, const struct err *err)
{
	json_t *all = json_array();

	for (const char *const *name = jenkins->names; *name; name++)
		json_array_append_new(all, json_pack("{s:s, s:o}", "master", *name, "error", text_json(err->text)));
	return json_pack("{s:o}", "masters", all);
}

json_t *jenkins_report_if_any(const struct verb_call *call)
{
	struct jenkins jenkins = {.call = call, .conf = call->conf, .arena = arena_new()};
	json_t *report = NULL;
	struct err err;

	jenkins.names = jenkins_masters(jenkins.conf, jenkins.arena, &err);
	if (jenkins.names && jenkins.names[0])
		report = become(jenkins.conf, &err) < 0 ? unasked(&jenkins, &err) : jenkins_ask_report(&jenkins, false);
	arena_free(jenkins.arena);
	return report;
}

int jenkins_verb(const struct verb_call *call)
{
	struct verb_call rest = *call;
	struct jenkins jenkins = {.call = &rest, .conf = call->conf};
	const char *name = call->argc > 0 ? call->argv[0] : "";
	jenkins_fn *word = NULL;
	struct err err;
	int status = 0;

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(words[i].name, name) == 0)
			word = words[i].run;
	if (!word) {
		err_set(&err, ERR_USAGE, "%s: it is sync, status, run-job, update-slave, slave-secret or remove; see byoci help jenkins",
			*name ? name : "which of them?");
		return verb_fail(call, &err);
	}
	rest.argc--;
	rest.argv++;
	jenkins.arena = arena_new();
	rest.verb = arena_printf(jenkins.arena, "jenkins %s", name);
	if (run(&jenkins, word, &status, &err) < 0)
		status = verb_fail(&rest, &err);
	arena_free(jenkins.arena);
	return status;
}
