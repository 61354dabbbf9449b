#include "slaves/common/peers.h"

#include <pwd.h>

#include "base/log.h"

static int add(struct peers *peers, const char *name, struct err *err)
{
	const struct passwd *entry = getpwnam(name);

	if (!entry) {
		log_warning(LOG_WHAT("no such user on this host: may not connect"), LOG_TEXT("user", name));
		return 0;
	}
	if (peers->count == PEERS_MAXIMUM)
		return err_set(err, ERR_CONFIG, "more than %d users may connect to one socket", PEERS_MAXIMUM);
	peers->ids[peers->count++] = entry->pw_uid;
	return 0;
}

int peers_read(const struct program *program, const char *const *users, const char *clients, struct peers *peers, struct err *err)
{
	const char *const *names = NULL;
	const char *agent = program_option(program, "agent.user", err);

	*peers = (struct peers){.ids = {0}, .count = 1};
	if (!agent || (getpwnam(agent) && add(peers, agent, err) < 0))
		return -1;
	for (; *users; users++) {
		const char *name = program_option(program, *users, err);
		if (!name || add(peers, name, err) < 0)
			return -1;
	}
	if (clients && conf_list(program->conf, program->arena, NULL, clients, &names, err) < 0)
		return -1;
	for (; names && *names; names++)
		if (add(peers, *names, err) < 0)
			return -1;
	return 0;
}

bool peers_allowed(const struct peers *peers, uid_t uid)
{
	for (size_t i = 0; i < peers->count; i++)
		if (peers->ids[i] == uid)
			return true;
	return false;
}
