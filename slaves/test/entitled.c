#include "slaves/test/entitled.h"

#include "base/jsonget.h"
#include "slaves/common/approval.h"
#include "slaves/common/readback.h"
#include "slaves/common/talk.h"

/* This forge's record takes a token, and the slave's user has none. The landing daemon has one, and decides nothing else by it. */
static int ask(const struct program *program, const struct spec *spec, const char **author, const char **why, struct err *err)
{
	const char *who;

	const char *path = program_option(program, "approval.socket", err);
	json_t *json = path ? spec_build(spec, err) : NULL;
	json_t *request = json ? json_pack("{s:s, s:o}", "op", "entitled", "spec", json) : NULL;
	json_t *reply = request ? talk_ask(path, request, TALK_LAND_MS, err) : NULL;
	int may = reply ? jsonget_boolean_or(reply, "entitled", false) : -1;

	if (may == 0)
		*why = arena_strdup(program->arena, jsonget_string_or(reply, "why", "the landing daemon does not say why"));
	who = may > 0 ? jsonget_string_or(reply, "author", NULL) : NULL;
	*author = who ? arena_strdup(program->arena, who) : NULL;
	json_decref(request);
	json_decref(reply);
	return may;
}

int entitled_author(const struct program *program, const struct spec *spec, const char **author, const char **why, struct err *err)
{
	const struct dialect *dialect = readback_dialect(program, spec->project, err);

	*author = *why = NULL;
	if (!dialect)
		return -1;
	return dialect->by_token ? ask(program, spec, author, why, err) : approval_holds(program, spec, author, why, err);
}

int entitled(const struct program *program, const struct spec *spec, const char **why, struct err *err)
{
	const char *section = arena_printf(program->arena, "project/%s", spec->project);
	const char *secrets = NULL, *author;
	int may;

	*why = NULL;
	if (conf_text(program->conf, section, "secrets", &secrets, err) < 0)
		return -1;
	if (!secrets)
		return 0;
	may = entitled_author(program, spec, &author, why, err);
	return may < 0 ? err_wrap(err, "whether the project's secrets may be used") : may;
}
