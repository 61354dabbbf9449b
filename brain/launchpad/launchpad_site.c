#include "launchpad/launchpad_site.h"

#include <string.h>

#include "base/jsonget.h"
#include "forge/launchpad.h"
#include "forge/proposal.h"

static int read_options(struct launchpad_site *site, struct err *err)
{
	const char *account = arena_printf(site->arena, "account/%s", site->place.account), *dialect;

	if (conf_text(site->conf, account, "dialect", &dialect, err) < 0 ||
		conf_text(site->conf, site->place.section, "launchpad.name", &site->name, err) < 0 ||
		conf_list(site->conf, site->arena, site->place.section, "reviewers", &site->reviewers, err) < 0 ||
		conf_list(site->conf, site->arena, account, "own.names", &site->own, err) < 0)
		return -1;
	if (strcmp(dialect, "launchpad") != 0)
		return err_set(err, ERR_USAGE, "the project %s is not on Launchpad: its account %s is of the forge %s", site->place.name,
			site->place.account, dialect);
	if (!site->name)
		site->name = forge_path(site->place.identity);
	if (!launchpad_name_valid(site->name) || site->name[0] != '~')
		return err_set(err, ERR_CONFIG, "[%s] launchpad.name: %s is not a unique name: ~OWNER/PROJECT/+git/NAME would be one",
			site->place.section, site->name);
	return 0;
}

int launchpad_site_open(const struct conf *conf, const char *project, struct launchpad_site *site, struct err *err)
{
	*site = (struct launchpad_site){.conf = conf, .arena = arena_new()};
	if (place_find(conf, site->arena, project, &site->place, err) == 0 && read_options(site, err) == 0 &&
		(site->rest = launchpad_rest_new(conf, site->place.account, err)))
		return 0;
	arena_free(site->arena);
	return -1;
}

void launchpad_site_close(struct launchpad_site *site)
{
	launchpad_rest_free(site->rest);
	arena_free(site->arena);
}

int launchpad_site_check(const char *what, struct err *err)
{
	if (what && (launchpad_number_of(what) || strspn(what, "0123456789") == strlen(what)) && *what)
		return 0;
	return err_set(err, ERR_USAGE, "say the NUMBER of a merge proposal, or its PLACE: ~OWNER/PROJECT/+git/NAME/+merge/NUMBER");
}

static json_t *by_status(const struct launchpad_site *site, const char *const *statuses, struct err *err)
{
	struct launchpad_rest_value values[8] = {{.name = NULL}};
	const char *form;

	for (size_t i = 0; statuses[i] && i + 1 < sizeof values / sizeof values[0]; i++)
		values[i] = (struct launchpad_rest_value){.name = "status", .value = statuses[i], .choice = true};
	form = launchpad_rest_form(site->arena, "getMergeProposals", values);
	return launchpad_rest_all(site->rest, arena_printf(site->arena, "%s?%s", site->name, form), err);
}

json_t *launchpad_site_open_ones(const struct launchpad_site *site, struct err *err)
{
	static const char *const statuses[] = {"Work in progress", "Needs review", "Approved", NULL};

	return by_status(site, statuses, err);
}

static const char *number_in(const json_t *entry)
{
	const char *place = launchpad_below_root(jsonget_string_or(entry, "self_link", ""));
	const char *number = place ? launchpad_number_of(place) : NULL;

	return number ? number : "";
}

/* A new reference, or NULL: it is not among them, or err says what else. */
static json_t *pick(json_t *list, const char *number)
{
	json_t *found = NULL, *entry;
	size_t i;

	json_array_foreach(list, i, entry)
		if (!found && strcmp(number_in(entry), number) == 0)
			found = json_incref(entry);
	json_decref(list);
	return found;
}

/* The open ones first: the others are all that ever were. */
static json_t *by_number(const struct launchpad_site *site, const char *number, struct err *err)
{
	static const char *const ended[] = {"Merged", "Rejected", "Superseded", NULL};
	json_t *list = launchpad_site_open_ones(site, err), *found = list ? pick(list, number) : NULL;

	if (!found && list) {
		list = by_status(site, ended, err);
		found = list ? pick(list, number) : NULL;
	}
	if (!found && list)
		err_set(err, ERR_NOT_FOUND, "there is no merge proposal %s for %s", number, site->name);
	return found;
}

json_t *launchpad_site_proposal(const struct launchpad_site *site, const char *what, struct err *err)
{
	json_t *entry = strchr(what, '/') ? launchpad_rest_get(site->rest, what, err) : by_number(site, what, err);
	const char *target = launchpad_below_root(jsonget_string_or(entry, "target_git_repository_link", ""));

	if (!entry || (target && strcmp(target, site->name) == 0))
		return entry;
	err_set(err, ERR_REFUSED, "the merge proposal %s is for another repository than %s", what, site->name);
	json_decref(entry);
	return NULL;
}

const char *launchpad_site_person(const char *link)
{
	const char *path = link ? launchpad_below_root(link) : NULL;

	return path && path[0] == '~' && path[1] && !strchr(path, '/') ? path + 1 : NULL;
}

bool launchpad_site_is_own(const struct launchpad_site *site, const char *name)
{
	for (const char *const *own = site->own; name && own && *own; own++)
		if (strcmp(*own, name) == 0)
			return true;
	return false;
}
