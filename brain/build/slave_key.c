#include "build/slave_key.h"

#include <string.h>

struct crypto_key *slave_key_load(
	const struct brain *brain, struct arena *arena, const char *slave, const char *suffix, struct err *err)
{
	const char *own;

	if (conf_text(brain->conf, NULL, "slave.name", &own, err) < 0)
		return NULL;
	if (!slave)
		slave = own;
	if (strcmp(slave, own) != 0 && !conf_has_section(brain->conf, arena_printf(arena, "slave/%s", slave))) {
		err_set(err, ERR_REFUSED, "it is said to be of a slave that the configuration does not have: [slave/%.64s]", slave);
		return NULL;
	}
	return crypto_key_load_public(
		arena_printf(arena, "%s/etc/byoci/%s/result-keys/%s%s.pub", brain->root, brain->namespace, slave, suffix), err);
}
