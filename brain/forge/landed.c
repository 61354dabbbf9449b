#include "forge/landed.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonget.h"
#include "forge/proposal.h"
#include "forge/seal.h"
#include "forge/spec.h"
#include "forge/text.h"

#define NODES 2048
#define WAIT_MAXIMUM 86400

static const struct seal_form form = {.header = LANDED_HEADER, .what = "a landing", .maximum = LANDED_LINE_MAXIMUM};

#define TEXT(name) SEAL_TEXT(landed, name)
static const struct seal_text texts[] = {TEXT(build), TEXT(namespace), TEXT(project), TEXT(proposal), TEXT(target), TEXT(slave),
	TEXT(merge), TEXT(target_tip), TEXT(reason)};
#define TEXTS (sizeof texts / sizeof texts[0])

char *landed_payload(struct arena *arena, const struct landed *landed)
{
	json_t *json = json_object();
	char *text, *copy;

	json_object_set_new(json, "landed", json_integer(1));
	seal_put_texts(json, texts, TEXTS, landed);
	json_object_set_new(json, "outcome", json_string(outcome_word(landed->outcome)));
	json_object_set_new(json, "wait", json_integer(landed->wait));
	json_object_set_new(json, "steps", timing_json(landed->steps, landed->step_count));
	json_object_set_new(json, "time", json_integer(landed->time));
	text = json_dumps(json, JSON_COMPACT);
	if (!text)
		err_fatal("out of memory");
	copy = arena_strdup(arena, text);
	free(text);
	json_decref(json);
	return copy;
}

char *landed_sign_line(struct arena *arena, const struct landed *landed, const struct crypto_key *key, struct err *err)
{
	return seal_line(arena, &form, landed_payload(arena, landed), key, err);
}

static bool commit_or_empty(const char *text)
{
	return *text == '\0' || forge_commit_valid(text);
}

/* What is compared with other ids later must have the form of one. */
static int check_forms(const struct landed *landed, struct err *err)
{
	if (!spec_build_valid(landed->build))
		return err_set(err, ERR_INPUT, "build: must be 32 hex digits");
	if (!forge_name_valid(landed->project) || !forge_name_valid(landed->proposal) || !forge_name_valid(landed->slave))
		return err_set(err, ERR_INPUT, "project, proposal, slave: must be names");
	if (!commit_or_empty(landed->merge) || !commit_or_empty(landed->target_tip))
		return err_set(err, ERR_INPUT, "merge, target_tip: must be ids or empty");
	if (landed->outcome == OUTCOME_SUCCESS && *landed->merge == '\0')
		return err_set(err, ERR_INPUT, "outcome: success, but no merge");
	if (landed->wait < 0 || landed->wait > WAIT_MAXIMUM)
		return err_set(err, ERR_INPUT, "wait: not a time that anybody waits");
	return 0;
}

static int read_payload(struct arena *arena, const json_t *json, struct landed *landed, struct err *err)
{
	json_t *steps;
	const char *word;
	int64_t version;

	if (jsonget_integer(json, "landed", &version, err) < 0)
		return -1;
	if (version != 1)
		return err_set(err, ERR_INPUT, "landed: version %lld; this program reads 1", (long long)version);
	if (seal_get_texts(arena, json, texts, TEXTS, landed, err) < 0)
		return -1;
	if (jsonget_integer(json, "wait", &landed->wait, err) < 0 || jsonget_integer(json, "time", &landed->time, err) < 0 ||
		jsonget_string(json, "outcome", &word, err) < 0)
		return -1;
	if (!outcome_from_word(word, &landed->outcome))
		return err_set(err, ERR_INPUT, "outcome: no such word");
	if (jsonget_array(json, "steps", &steps, err) < 0 || timing_read(arena, steps, &landed->steps, &landed->step_count, err) < 0)
		return -1;
	return check_forms(landed, err);
}

int landed_read_line(struct arena *arena, const char *line, const struct crypto_key *key, struct landed *landed, struct err *err)
{
	struct landed found = {.build = NULL};
	size_t length;
	const char *payload = seal_open(arena, &form, line, key, &length, err);
	json_t *json = payload ? jsonget_parse(payload, length, NODES, err) : NULL;
	int done;

	if (!json)
		return -1;
	done = read_payload(arena, json, &found, err);
	json_decref(json);
	if (done < 0)
		return err_wrap(err, "landing");
	*landed = found;
	return 0;
}

const char *landed_slave(struct arena *arena, const char *line)
{
	size_t length = strnlen(line, LANDED_LINE_MAXIMUM + 2);
	json_t *payload = length <= LANDED_LINE_MAXIMUM + 1 ? seal_peek(arena, &form, line, NODES) : NULL;
	const char *slave = jsonget_string_or(payload, "slave", "");

	slave = forge_name_valid(slave) ? arena_strdup(arena, slave) : NULL;
	json_decref(payload);
	return slave;
}
