#include "build/premake.h"

#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/jsonget.h"
#include "build/wish.h"
#include "calls/calls.h"
#include "forge/spec.h"
#include "gate/item.h"
#include "loop/lines.h"
#include "master/site.h"
#include "proposal/project.h"

/* What the gate began to build in this very turn is merged by that build. */
static int is_building(struct brain *brain, struct arena *arena, int64_t proposal, struct err *err)
{
	struct item item;
	int found = item_live(brain, arena, proposal, &item, err);

	return found > 0 ? strcmp(item.state, "building") == 0 || strcmp(item.state, "landing") == 0 : found;
}

/* What is asked for already is not asked for again. */
static char *id_of(struct arena *arena, const struct proposal_row *row)
{
	char digest[CRYPTO_SHA256_HEX];
	const char *text =
		arena_printf(arena, "%s %s %s %s %s", row->project, row->name, row->target, row->target_tip, row->head);

	crypto_sha256(text, strlen(text), digest);
	return arena_printf(arena, "%.32s", digest);
}

/* Not what is built elsewhere. */
static bool is_wanted(struct brain *brain, struct arena *arena, const char *project)
{
	struct err why = {.kind = ERR_NONE};
	int64_t maximum = 0;

	return conf_integer(brain->conf, NULL, "premade.maximum", &maximum, &why) == 0 && maximum > 0 &&
		(!site_of_project(brain->conf, arena, project) || site_has_us(brain->conf, arena));
}

static int ask(struct brain *brain, struct arena *arena, const struct proposal_row *row, struct err *err)
{
	const char *slave = "local", *id = id_of(arena, row);
	struct err why = {.kind = ERR_NONE};
	const struct wish wish = {.build = id, .attempt = 1, .source = row->head, .target = row->target};
	json_t *spec = wish_spec(brain, arena, &wish, row, &why);

	if (!spec) /* the build will say so */
		return 0;
	json_t *json = json_pack("{s:s, s:o}", "op", "premake", "spec", spec);
	char *dumped = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!dumped || conf_text(brain->conf, NULL, "slave.name", &slave, &why) < 0) {
		free(dumped);
		return 0;
	}
	const struct calls_intent intent = {.kind = PREMAKE_KIND, .lane = arena_printf(arena, "premake/%s", slave), .key = id,
		.request = arena_strdup(arena, dumped), .stage = STAGE_BUILD};
	free(dumped);
	return calls_add(brain, &intent, NULL, err);
}

enum step premake_step(struct brain *brain, struct arena *arena, int64_t ref, struct err *err)
{
	struct proposal_row row;
	int found = proposal_get(brain, arena, ref, &row, err), building;

	if (found <= 0)
		return brain_step(found);
	if (!is_wanted(brain, arena, row.project) || strcmp(row.state, "open") != 0 || !*row.head || !*row.target_tip ||
		!project_gates(brain->conf, arena, row.project, row.target))
		return STEP_DONE;
	building = is_building(brain, arena, ref, err);
	if (building)
		return brain_step(building);
	return brain_step(ask(brain, arena, &row, err));
}

/* Whatever it says: its connection is closed before that. */
static void unheard(void *cookie, struct lines *lines, const json_t *message, const struct err *err)
{
	(void)cookie;
	(void)lines;
	(void)message;
	(void)err;
}

void premake_pushed(struct brain *brain, const char *project, const char *proposal)
{
	struct arena *arena = arena_new();
	struct err none = {.kind = ERR_NONE};
	struct lines *lines = NULL;
	const char *path;

	if (is_wanted(brain, arena, project) && conf_text(brain->conf, NULL, "slave.socket", &path, &none) == 0)
		lines = lines_connect(brain->loop, path, unheard, NULL, &none);
	if (lines) {
		lines_send(lines, json_pack("{s:s, s:s, s:s}", "op", "ahead", "project", project, "proposal", proposal));
		lines_close(lines);
	}
	arena_free(arena);
}

int premake_answered(struct brain *brain, struct arena *arena, int64_t call, struct err *err)
{
	struct calls_answer answer;
	int found = calls_get(brain, arena, call, &answer, err);

	if (found <= 0 || strcmp(answer.kind, PREMAKE_KIND) != 0)
		return found < 0 ? -1 : 0;
	return store_run(brain->store, STORE_CALL_DELETE, err, STORE_INTEGER(call)) < 0 ? -1 : 1;
}
