#include "slaves/land/turns.h"

#include <stdlib.h>
#include <string.h>

#include "base/jsonget.h"
#include "slaves/tree/check.h"

struct turn {
	LIST_ENTRY(turn) link;
	char *project, *target;
};

/* Of targets there are so many and no more. */
static int check(const struct program *program, const char *project, const char *target, struct err *err)
{
	struct program brief = *program; /* its arena ends here */
	int done;

	brief.arena = arena_new();
	done = check_gated(&brief, project, target, err);
	arena_free(brief.arena);
	return done;
}

struct turn *turns_take(struct turns *turns, const struct program *program, const json_t *request, struct err *err)
{
	const char *project = NULL, *target = NULL;
	struct turn *turn;

	if (jsonget_string(request, "project", &project, err) < 0 || jsonget_string(request, "target", &target, err) < 0 ||
		check(program, project, target, err) < 0)
		return NULL;
	LIST_FOREACH(turn, turns, link)
		if (strcmp(turn->project, project) == 0 && strcmp(turn->target, target) == 0) {
			err_set(err, ERR_BUSY, "another land-approved is at work on %s: wait for its end", target);
			return NULL;
		}
	turn = calloc(1, sizeof *turn);
	if (!turn || !(turn->project = strdup(project)) || !(turn->target = strdup(target)))
		abort();
	LIST_INSERT_HEAD(turns, turn, link);
	return turn;
}

void turns_end(struct turn *turn)
{
	if (!turn)
		return;
	LIST_REMOVE(turn, link);
	free(turn->project);
	free(turn->target);
	free(turn);
}
