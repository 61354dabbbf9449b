#include "forge/counts.h"

#include <string.h>

#include "base/jsonget.h"
#include "forge/text.h"

static int64_t within(int64_t number)
{
	return number > COUNTS_MAXIMUM ? COUNTS_MAXIMUM : number < 0 ? 0 : number;
}

/* A cut name ends with a whole character. */
static void copy_name(char to[static COUNTS_NAME_SIZE], const char *name, size_t length)
{
	length = strnlen(name, length);
	if (length >= COUNTS_NAME_SIZE) {
		length = COUNTS_NAME_SIZE - 1;
		while (length > 0 && ((unsigned char)name[length] & 0xc0) == 0x80)
			length--;
	}
	memcpy(to, name, length);
	memset(to + length, 0, COUNTS_NAME_SIZE - length);
}

/* Of two that took as long, the first stays in front. */
static void add_slow(struct counts *counts, const char *name, size_t length, int64_t ms)
{
	struct counts_slow *list = counts->slowest;
	int64_t at = counts->slow_count;

	while (at > 0 && list[at - 1].ms < ms)
		at--;
	if (at == COUNTS_SLOWEST)
		return;
	if (counts->slow_count < COUNTS_SLOWEST)
		counts->slow_count++;
	memmove(&list[at + 1], &list[at], (size_t)(counts->slow_count - 1 - at) * sizeof *list);
	list[at].ms = ms;
	copy_name(list[at].name, name, length);
}

void counts_add_many(struct counts *counts, enum counts_end end, int64_t many)
{
	counts->run = within(counts->run + within(many));
	if (end == COUNTS_FAILED)
		counts->failed = within(counts->failed + within(many));
	if (end == COUNTS_SKIPPED)
		counts->skipped = within(counts->skipped + within(many));
}

void counts_add(struct counts *counts, enum counts_end end, const char *name, size_t length, int64_t ms)
{
	counts_add_many(counts, end, 1);
	if (ms > 0)
		add_slow(counts, name, length, within(ms));
}

void counts_join(struct counts *counts, const struct counts *more)
{
	counts->run = within(counts->run + more->run);
	counts->failed = within(counts->failed + more->failed);
	counts->skipped = within(counts->skipped + more->skipped);
	counts->reports = within(counts->reports + more->reports);
	counts->broken = within(counts->broken + more->broken);
	for (int64_t i = 0; i < more->slow_count; i++)
		add_slow(counts, more->slowest[i].name, COUNTS_NAME_SIZE, more->slowest[i].ms);
}

static bool is_count(int64_t number)
{
	return number >= 0 && number <= COUNTS_MAXIMUM;
}

bool counts_valid(const struct counts *counts)
{
	if (!is_count(counts->run) || !is_count(counts->failed) || !is_count(counts->skipped) || !is_count(counts->reports) ||
		!is_count(counts->broken))
		return false;
	if (counts->failed > counts->run || counts->skipped > counts->run || counts->broken > counts->reports)
		return false;
	if (counts->slow_count < 0 || counts->slow_count > COUNTS_SLOWEST)
		return false;
	for (int64_t i = 0; i < counts->slow_count; i++)
		if (!is_count(counts->slowest[i].ms) || !memchr(counts->slowest[i].name, 0, COUNTS_NAME_SIZE))
			return false;
	return true;
}

json_t *counts_json(const struct counts *counts)
{
	json_t *slowest = json_array();

	for (int64_t i = 0; i < counts->slow_count; i++)
		json_array_append_new(slowest, json_pack("{s:o, s:I}", "name", text_json(counts->slowest[i].name), "ms",
			(json_int_t)counts->slowest[i].ms));
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "run", (json_int_t)counts->run, "failed", (json_int_t)counts->failed,
		"skipped", (json_int_t)counts->skipped, "reports", (json_int_t)counts->reports, "broken", (json_int_t)counts->broken,
		"slowest", slowest);
}

static int read_slowest(const json_t *list, struct counts *counts, struct err *err)
{
	const json_t *one;
	const char *name;
	size_t i;

	if (json_array_size(list) > COUNTS_SLOWEST)
		return err_set(err, ERR_INPUT, "slowest: over %d", COUNTS_SLOWEST);
	json_array_foreach(list, i, one) {
		if (jsonget_string(one, "name", &name, err) < 0 || jsonget_integer(one, "ms", &counts->slowest[i].ms, err) < 0)
			return err_wrap(err, "slowest[%zu]", i);
		copy_name(counts->slowest[i].name, name, strlen(name));
	}
	counts->slow_count = (int64_t)json_array_size(list);
	return 0;
}

int counts_read(const json_t *json, struct counts *counts, struct err *err)
{
	struct counts found = {.run = 0};
	json_t *slowest;

	if (jsonget_integer(json, "run", &found.run, err) < 0 || jsonget_integer(json, "failed", &found.failed, err) < 0 ||
		jsonget_integer(json, "skipped", &found.skipped, err) < 0 || jsonget_integer(json, "reports", &found.reports, err) < 0 ||
		jsonget_integer(json, "broken", &found.broken, err) < 0 || jsonget_array(json, "slowest", &slowest, err) < 0 ||
		read_slowest(slowest, &found, err) < 0)
		return -1;
	if (!counts_valid(&found))
		return err_set(err, ERR_INPUT, "not what tests can be counted to");
	*counts = found;
	return 0;
}

char *counts_text(struct arena *arena, const struct counts *counts, bool names)
{
	char *text = arena_printf(arena, "%lld test%s, %lld failed, %lld skipped", (long long)counts->run,
		counts->run == 1 ? "" : "s", (long long)counts->failed, (long long)counts->skipped);

	if (counts->slow_count > 0)
		text = arena_printf(arena, "%s, slowest %s%s%lld.%03lld s%s", text, names ? counts->slowest[0].name : "", names ? " (" : "",
			(long long)counts->slowest[0].ms / 1000, (long long)counts->slowest[0].ms % 1000, names ? ")" : "");
	if (counts->broken > 0)
		text = arena_printf(arena, "%s; %lld of %lld report%s broken off", text, (long long)counts->broken,
			(long long)counts->reports, counts->reports == 1 ? "" : "s");
	return text;
}
