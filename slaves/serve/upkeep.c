#include "slaves/serve/upkeep.h"

#include <stdlib.h>
#include <string.h>

#include "base/jsonget.h"
#include "forge/outcome.h"
#include "slaves/common/output.h"
#include "slaves/serve/chore.h"

#define HEALTH_MS (4 * 60 * 1000)
#define REFRESH_MS (2 * 3600 * 1000)
#define NODES 100
#define ATONCE 4

struct upkeep {
	struct chore *chore;
	upkeep_done_fn *done;
	void *cookie;
	unsigned *count;
};

static void end(struct upkeep *upkeep, json_t *reply)
{
	upkeep_done_fn *done = upkeep->done;
	void *cookie = upkeep->cookie;

	upkeep->chore = NULL;
	upkeep_free(upkeep);
	done(cookie, reply);
}

static void probed(void *cookie, int status, const char *text)
{
	struct err err = {0};
	json_t *reply = jsonget_parse(text, strlen(text), NODES, &err);

	if (status != 0 || !reply) {
		json_decref(reply);
		reply = json_pack("{s:b, s:s}", "well", 0, "reason", "container: the trial of one did not come to an end");
	}
	end(cookie, reply);
}

static void refreshed(void *cookie, int status, const char *text)
{
	struct arena *arena = arena_new();
	enum outcome outcome = OUTCOME_INFRASTRUCTURE;

	outcome_from_exit(status, &outcome);
	end(cookie, json_pack("{s:s, s:s}", "outcome", outcome_word(outcome), "text",
			    output_line(arena, text, strlen(text), OUTPUT_LINE)));
	arena_free(arena);
}

static struct chore *start(const struct upkeep_want *want, struct upkeep *upkeep, struct err *err)
{
	const char *const probe[] = {"probe", NULL};
	const char *words[] = {"backing", "--refresh", "build", NULL, NULL};
	struct chore_want chore = {
		.loop = want->loop, .program = want->program, .words = probe, .limit_ms = HEALTH_MS, .done = probed, .cookie = upkeep};
	struct arena *arena = arena_new();
	struct chore *started = NULL;

	if (strcmp(jsonget_string_or(want->message, "op", ""), "refresh") == 0) {
		if (jsonget_string(want->message, "backing", &words[3], err) < 0)
			goto err0;
		if (!conf_has_section(want->program->conf, arena_printf(arena, "backing/%s", words[3]))) {
			err_set(err, ERR_INPUT, "backing: there is none of that name");
			goto err0;
		}
		chore.words = words;
		chore.limit_ms = REFRESH_MS;
		chore.done = refreshed;
	}
	started = chore_start(&chore, err);
err0:
	arena_free(arena);
	return started;
}

struct upkeep *upkeep_start(const struct upkeep_want *want, struct err *err)
{
	static unsigned count; /* of all there are: whoever may ask can't have the host do nothing else */
	struct upkeep *upkeep;

	if (count >= ATONCE) {
		err_set(err, ERR_BUSY, "so much is being looked after already: ask again later");
		return NULL;
	}
	upkeep = calloc(1, sizeof *upkeep);
	if (!upkeep)
		abort();
	*upkeep = (struct upkeep){.done = want->done, .cookie = want->cookie};
	upkeep->chore = start(want, upkeep, err);
	if (!upkeep->chore) {
		free(upkeep);
		return NULL;
	}
	upkeep->count = &count;
	count++;
	return upkeep;
}

void upkeep_free(struct upkeep *upkeep)
{
	if (!upkeep)
		return;
	--*upkeep->count;
	chore_free(upkeep->chore);
	free(upkeep);
}
