#include "slaves/cage/cage.h"

#include <string.h>

#include "slaves/cage/dir_cage.h"
#include "slaves/cage/lxc_cage.h"
#include "slaves/cage/lxd_cage.h"

static const struct cage_kind *const kinds[] = {&lxc_cage_kind, &lxd_cage_kind, &dir_cage_kind};

const struct cage_kind *cage_kind(const char *name, struct err *err)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	err_set(err, ERR_CONFIG, "workers = %s: this release has no such workers", name);
	return NULL;
}

int cage_sweep(const struct conf *conf, struct err *err)
{
	struct arena *arena = arena_new();
	int rc = 0;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (kinds[i]->sweep && kinds[i]->sweep(arena, conf, err) < 0)
			rc = -1;
	arena_free(arena);
	return rc;
}

int cage_reap_any(struct arena *arena, const char *namespace, const char *name, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct err absent = {0};
		const char *const *traces = kinds[i]->traces(arena, NULL, namespace, name, &absent);

		if (traces && kinds[i]->reap(arena, traces, err) < 0)
			rc = -1;
	}
	return rc;
}
