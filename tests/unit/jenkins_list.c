#include "jobs/jenkins_list.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tap.h"
#include "tests/tmp.h"

static const struct jenkins_sight absent = {.form = ""}, ours = {.there = true, .marked = true, .form = "A"},
				   others = {.there = true, .form = "A"};
static const struct jenkins_row begun = {.made = false, .wanted = "", .seen = ""}, made = {.made = true, .wanted = "W", .seen = "A"};

static void test_wanted(void)
{
	ok(jenkins_list_act("W", NULL, &absent, true) == JENKINS_CREATE, "what is not there is made");
	ok(jenkins_list_act("W", &made, &absent, true) == JENKINS_CREATE, "also when somebody deleted it");
	ok(jenkins_list_act("W", NULL, &others, true) == JENKINS_REFUSE, "somebody else's is not touched");
	ok(jenkins_list_act("A", NULL, &others, true) == JENKINS_REFUSE, "not even when it looks the same");
	ok(jenkins_list_act("W", &begun, &others, true) == JENKINS_REFUSE, "nor when it came after a run of ours was killed");
	ok(jenkins_list_act("W", &begun, &ours, true) == JENKINS_CHANGE, "one that says that it is ours is");
	ok(jenkins_list_act("W", NULL, &ours, true) == JENKINS_CHANGE, "also when the list was lost");
	ok(jenkins_list_act("A", NULL, &ours, true) == JENKINS_KEEP, "and left alone when it is right");
	ok(jenkins_list_act("W", &made, &ours, true) == JENKINS_KEEP, "one that the master wrote otherwise is as it was made");
	ok(jenkins_list_act("X", &made, &ours, true) == JENKINS_CHANGE, "another one is wanted");
	const struct jenkins_sight mended = {.there = true, .marked = true, .form = "B"}, unmarked = {.there = true, .form = "B"};
	ok(jenkins_list_act("W", &made, &mended, true) == JENKINS_CHANGE, "somebody changed it on the master");
	ok(jenkins_list_act("W", &made, &unmarked, true) == JENKINS_CHANGE, "even what it says of itself");
}

static void test_unwanted(void)
{
	ok(jenkins_list_act(NULL, &made, &ours, true) == JENKINS_DELETE, "ours, no longer wanted");
	ok(jenkins_list_act(NULL, &begun, &ours, true) == JENKINS_DELETE, "begun by a run that was killed");
	ok(jenkins_list_act(NULL, &made, &ours, false) == JENKINS_LEAVE, "without our prefix it stays");
	ok(jenkins_list_act(NULL, &made, &others, true) == JENKINS_LEAVE, "one that somebody made over stays");
	ok(jenkins_list_act(NULL, NULL, &ours, true) == JENKINS_LEAVE, "one that is not in the list stays");
	ok(jenkins_list_act(NULL, &made, &absent, true) == JENKINS_FORGET, "one that is gone is forgotten");
}

static void test_file(void)
{
	struct arena *arena = arena_new();
	const char *folder = tmp_folder;
	const struct site site = {.url = "http://h/", .folder = ""}, other = {.url = "http://h/", .folder = "A"};
	struct jenkins_list list, again;
	struct jenkins_row row;
	struct stat status;
	struct err err;

	ok(jenkins_list_load(&list, arena, folder, &site, &err) == 0 && json_object_size(list.rows) == 0, "an empty one");
	jenkins_list_set(&list, "a b", false, &made);
	jenkins_list_set(&list, "a b", true, &begun);
	jenkins_list_set_node(&list, "one", true);
	jenkins_list_set_node(&list, "two", true);
	jenkins_list_set_node(&list, "two", false);
	ok(jenkins_list_save(&list, &err) == 0 && stat(list.path, &status) == 0 && (status.st_mode & 0777) == 0600, "written, for us alone");
	ok(jenkins_list_load(&again, arena, folder, &site, &err) == 0 && jenkins_list_row(&again, "a b", false, &row) && row.made &&
		    strcmp(row.wanted, "W") == 0 && strcmp(row.seen, "A") == 0, "read back");
	ok(jenkins_list_row(&again, "a b", true, &row) && !row.made, "a view of the same name is another");
	ok(json_object_size(again.nodes) == 1 && json_object_get(again.nodes, "one"), "and which nodes are ours");
	jenkins_list_set(&again, "a b", false, NULL);
	ok(!jenkins_list_row(&again, "a b", false, &row), "taken out");
	jenkins_list_release(&again);
	ok(jenkins_list_load(&again, arena, folder, &other, &err) == 0 && json_object_size(again.rows) == 0, "another folder, another list");
	jenkins_list_release(&again);
	ok(truncate(list.path, 10) == 0 && jenkins_list_load(&again, arena, folder, &site, &err) < 0, "a broken one is not an empty one");
	jenkins_list_release(&list);
	arena_free(arena);
}

int main(void)
{
	tmp_make();
	test_wanted();
	test_unwanted();
	test_file();
	return tap_done();
}
