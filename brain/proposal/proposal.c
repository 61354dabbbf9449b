#include "proposal/proposal.h"

#include <string.h>

#include "forge/dialect.h"

int proposal_get(struct brain *brain, struct arena *arena, int64_t id, struct proposal_row *row, struct err *err)
{
	const char **texts[] = {&row->project, &row->name, &row->url, &row->target, &row->target_tip, &row->head, &row->state,
		&row->dialect, &row->reply};
	struct store *store = brain->store;
	int found = store_one(store, STORE_PROPOSAL_GET, err, STORE_INTEGER(id));

	if (found <= 0)
		return found;
	row->id = id;
	for (int i = 0; i < (int)(sizeof texts / sizeof texts[0]); i++)
		*texts[i] = store_text(store, STORE_PROPOSAL_GET, i, arena);
	row->read = store_integer(store, STORE_PROPOSAL_GET, 9);
	row->delivery = store_integer(store, STORE_PROPOSAL_GET, 10);
	row->version = store_text(store, STORE_PROPOSAL_GET, 11, arena);
	store_reset(store, STORE_PROPOSAL_GET);
	return 1;
}

int proposal_parse(struct arena *arena, const struct proposal_row *row, struct forge_proposal *proposal, struct err *err)
{
	const struct dialect *dialect = dialect_find(row->dialect);

	if (!dialect || !dialect->proposal)
		return err_set(err, ERR_INPUT, "this byoci does not read proposals of %s", row->dialect);
	return dialect->proposal(arena, row->reply, strlen(row->reply), proposal, err);
}

int64_t proposal_find(struct brain *brain, const char *project, const char *name, struct err *err)
{
	int64_t id;
	int found = store_one(brain->store, STORE_PROPOSAL_FIND, err, STORE_TEXT(project), STORE_TEXT(name));

	if (found <= 0)
		return found;
	id = store_integer(brain->store, STORE_PROPOSAL_FIND, 0);
	store_reset(brain->store, STORE_PROPOSAL_FIND);
	return id;
}

const char *proposal_place(struct arena *arena, const struct proposal_row *row)
{
	struct forge_proposal proposal;
	struct err ignored;

	return proposal_parse(arena, row, &proposal, &ignored) == 0 && proposal.place ? proposal.place : "";
}

const char *proposal_place_known(struct brain *brain, struct arena *arena, const char *project, const char *name, struct err *err)
{
	struct proposal_row row;
	int64_t id = proposal_find(brain, project, name, err);
	int found = id > 0 ? proposal_get(brain, arena, id, &row, err) : (int)id;

	return found < 0 ? NULL : found == 0 ? "" : proposal_place(arena, &row);
}
