#include "slaves/cage/slot.h"

#include <jansson.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/tap.h"
#include "tests/tmp.h"
#include "slaves/common/process.h"

static const struct kept_room room = {.working = 2, .kept = 1};

static char *record_path(unsigned number)
{
	static char path[sizeof tmp_folder + 16];

	snprintf(path, sizeof path, "%s/%u.json", tmp_folder, number);
	return path;
}

static struct slot_record record_of(const char *const *traces)
{
	return (struct slot_record){.namespace = "unit", .build = "b", .job = "j", .pid = getpid(),
		.process_start = process_started(getpid()), .expiry = clock_wall_ms() + 1000000, .kind = "lxc", .traces = traces};
}

static void test_claim(void)
{
	const char *const none[] = {NULL};
	const struct slot_record record = record_of(none);
	struct err err = {0};
	struct slot *one = slot_claim(tmp_folder, "unit", room, &err);
	struct slot *two = slot_claim(tmp_folder, "unit", room, &err);
	json_t *json;

	ok(one && slot_number(one) == 0, "the first slot is the first");
	ok(two && slot_number(two) == 1, "the second is another");
	ok(!slot_claim(tmp_folder, "unit", room, &err) && err.kind == ERR_BUSY, "a third there is not");
	ok(slot_write(one, &record, &err) == 0, "a record is written");
	json = json_load_file(record_path(0), 0, NULL);
	is(json_string_value(json_object_get(json, "build")), "b", "it names the build");
	ok(json_integer_value(json_object_get(json, "pid")) == getpid(), "and the process");
	json_decref(json);
	ok(slot_reap(tmp_folder, "unit", &err) == 0 && access(record_path(0), F_OK) == 0, "the reaper leaves a living worker alone");
	ok(slot_release(one, &err) == 0 && access(record_path(0), F_OK) < 0, "releasing removes the record");
	one = slot_claim(tmp_folder, "unit", room, &err);
	ok(one && slot_number(one) == 0, "and the slot can be taken again");
	ok(slot_release(one, &err) == 0 && slot_release(two, &err) == 0, "both are given back");
}

/* Slots 0 and 1 work, 2 is for new backings, 3 is beside a kept one. */
static void test_kept(void)
{
	const char *const none[] = {NULL};
	struct slot_record record = record_of(none), other = record_of(none);
	struct kept list[4];
	struct arena *arena = arena_new();
	struct err err = {0};
	struct slot *one = slot_claim(tmp_folder, "unit", room, &err);
	struct slot *two = slot_claim(tmp_folder, "unit", room, &err);
	struct slot *three, *last;

	record.until = 12345;
	ok(slot_write(one, &record, &err) == 0 && kept_list(arena, tmp_folder, room, list, 4) == 0, "nothing is kept at first");
	ok(slot_keep(one, room, &record, &err) == 0, "one of two workers is kept");
	three = slot_claim(tmp_folder, "unit", room, &err);
	ok(three && slot_number(three) == 3, "its place among those that work is free, and is another slot");
	ok(!slot_claim(tmp_folder, "unit", room, &err) && err.kind == ERR_BUSY, "there are no more for it");
	last = slot_claim_last(tmp_folder, "unit", 2, &err);
	ok(last && slot_number(last) == 2, "the one for new backings is not touched by that");
	ok(slot_keep(two, room, &other, &err) < 0 && err.kind == ERR_FULL, "a second one can't be kept");
	ok(kept_list(arena, tmp_folder, room, list, 4) == 1 && list[0].number == 0 && list[0].expiry == 12345, "one is listed");
	is(list[0].build, "b", "with its build");
	ok(slot_release(one, &err) == 0 && kept_list(arena, tmp_folder, room, list, 4) == 0, "when it is discarded it is not");
	one = slot_claim(tmp_folder, "unit", room, &err);
	ok(!one && err.kind == ERR_BUSY, "which makes no room for one that works: there are two");
	ok(slot_release(two, &err) == 0 && slot_release(three, &err) == 0 && slot_release(last, &err) == 0, "all are given back");
	arena_free(arena);
}

static void leave(const char *text)
{
	struct err err = {0};

	if (file_write(record_path(1), text, strlen(text), 0644, &err) < 0)
		printf("# %s\n", err.text);
}

static void test_leftovers(void)
{
	struct err err = {0};
	struct slot *slot;

	leave("{\"kind\":\"lxc\",\"traces\":[\"/sys/fs/cgroup/byoci-unit-absent\"]}");
	ok(slot_reap(tmp_folder, "unit", &err) == 1, "what a dead worker left is removed");
	ok(access(record_path(1), F_OK) < 0, "with its record");
	ok(slot_reap(tmp_folder, "unit", &err) == 0, "once");
	leave("{\"kind\":\"lxc\",\"traces\":[\"/sys/fs/cgr");
	ok(slot_reap(tmp_folder, "unit", &err) == 1, "a record that was cut short is no obstacle");
	leave("{\"kind\":\"lxc\",\"traces\":[\"/sys/fs/cgroup/../../../home\"]}");
	ok(slot_reap(tmp_folder, "unit", &err) < 0 && err.kind == ERR_REFUSED, "a record that names something else is refused");
	ok(access(record_path(1), F_OK) == 0, "and stays to be looked at");
	unlink(record_path(1));
	leave("{\"kind\":\"lxc\",\"traces\":[\"/sys/fs/cgroup/byoci-unit-absent\"],\"expiry\":1,\"pid\":1}");
	slot = slot_claim(tmp_folder, "unit", room, &err);
	ok(slot && slot_number(slot) == 0, "a slot is taken beside leftovers");
	ok(slot_release(slot, &err) == 0, "and given back");
}

int main(void)
{
	tmp_make();
	ok(process_started(getpid()) > 0, "this process started some time");
	ok(process_started(0x3ffffff) == 0, "one that does not exist did not");
	test_claim();
	test_kept();
	test_leftovers();
	return tap_done();
}
