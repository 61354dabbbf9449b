#include "slaves/test/prepare.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/file.h"
#include "slaves/common/output.h"
#include "slaves/record/builds.h"
#include "slaves/test/ahead.h"
#include "slaves/test/clone.h"
#include "slaves/test/premade.h"
#include "slaves/test/prepared.h"
#include "slaves/tree/check.h"
#include "slaves/tree/export.h"
#include "slaves/tree/tree.h"

struct prepare {
	const struct program *program;
	struct arena *arena;
	const char *folder; /* with spec.json, log and layer */
	const char *word;   /* of who shares the clone: slaves/tree/tree.h */
	struct spec spec;
	struct output *output;
	struct tree *tree;
	const char *base_tree; /* of the target */
	struct tree_merged merged;
	struct steps steps;
	const char *layer; /* made, and to be left only when all went well */
};

static int open_tree(struct prepare *prepare, struct err *err)
{
	if (!prepare->tree)
		prepare->tree = clone_open(prepare->program, prepare->spec.project, prepare->word, err);
	return prepare->tree ? 0 : -1;
}

/*
 * What was fetched must still be what the brain saw; else this test would be for nothing. 1: the source is on the target already
 * (when nothing moved, the merge shows that).
 */
static int check_heads(struct prepare *prepare, const struct tree_want *target, const struct tree_want *head, struct err *err)
{
	const char *base = prepare->spec.trees[0].base, *source = prepare->spec.trees[0].merges[0].source;
	struct err unknown = {0};
	bool landed = false;

	if (!target->commit[0])
		return err_set(err, ERR_MOVED, "%s is gone", target->remote);
	prepare->base_tree = arena_strdup(prepare->arena, target->tree);
	if (strcmp(target->commit, base) == 0 && strcmp(head->commit, source) == 0)
		return 0;
	if (tree_descends(prepare->tree, source, target->commit, &landed, &unknown) == 0 && landed)
		return 1;
	if (!head->commit[0])
		return err_set(err, ERR_MOVED, "the proposal %s is gone", prepare->spec.proposal);
	if (strcmp(head->commit, source) != 0)
		return err_set(err, ERR_MOVED, "the proposal %s is at %.12s now, not at %.12s", prepare->spec.proposal, head->commit, source);
	return err_set(err, ERR_MOVED, "%s is at %.12s now, not at %.12s", target->remote, target->commit, base);
}

/* Nothing of what is merged meanwhile is used before it is known that this is what was fetched. */
static int fetch_from(struct prepare *prepare, const struct check_source *source, struct tree_want *wants, struct err *err)
{
	const struct spec_tree *tree = &prepare->spec.trees[0];

	if (source->url && tree_fetch(prepare->tree, wants, 1, err) < 0)
		return -1;
	tree_expect(prepare->tree, tree->base, tree->merges[0].source);
	return source->url ? tree_fetch_from(prepare->tree, source->url, &wants[1], err) : tree_fetch(prepare->tree, wants, 2, err);
}

/* 1: the source is on the target already. */
static int fetch(struct prepare *prepare, struct err *err)
{
	struct check_source source;
	struct tree_want wants[2] = {{.remote = prepare->spec.target}};

	steps_begin(&prepare->steps, "fetch");
	if (check_source(prepare->program, &prepare->spec, &source, err) < 0)
		return -1;
	wants[1].remote = source.ref;
	if (output_say(prepare->output, err, "fetching %s and %s", wants[0].remote, wants[1].remote) < 0)
		return -1;
	if (open_tree(prepare, err) < 0 || fetch_from(prepare, &source, wants, err) < 0)
		return -1;
	return check_heads(prepare, &wants[0], &wants[1], err);
}

static int say_conflicts(struct prepare *prepare, struct err *err)
{
	struct err ignored = {0};
	struct output_stream *stream = output_stream(prepare->output, "byoci:   ");
	const char *lines = prepare->merged.conflicts;

	output_say(prepare->output, &ignored, "it does not merge:");
	output_stream_add(stream, lines, strlen(lines), &ignored);
	output_stream_end(stream, &ignored);
	return err_wrap(err, "does not merge with %s", prepare->spec.target);
}

/* A merge that changes nothing is of what is there already, or of what was undone there. */
static int check_change(struct prepare *prepare, struct err *err)
{
	const struct spec_tree *tree = &prepare->spec.trees[0];
	bool landed = false;

	if (strcmp(prepare->merged.tree, prepare->base_tree) != 0)
		return 0;
	if (tree_descends(prepare->tree, tree->merges[0].source, tree->base, &landed, err) < 0)
		return -1;
	return landed ? 1 : 0;
}

static int request_of(struct prepare *prepare, struct tree_merge *request, struct err *err)
{
	const struct spec_merge *wanted = &prepare->spec.trees[0].merges[0];

	*request = (struct tree_merge){
		.base = prepare->spec.trees[0].base, .source = wanted->source, .message = wanted->message, .date = wanted->date};
	if (!spec_author_split(prepare->arena, wanted->author, &request->author, &request->mail))
		return err_set(err, ERR_INPUT, "spec: author: not of the form NAME <MAIL>");
	return 0;
}

static int check_expected(const struct prepare *prepare, struct err *err)
{
	const char *wanted = prepare->spec.trees[0].merges[0].commit;

	if (wanted && strcmp(wanted, prepare->merged.commit) != 0)
		return err_set(err, ERR_SYSTEM, "the merge is %s here, and %s was expected", prepare->merged.commit, wanted);
	return 0;
}

static int merge(struct prepare *prepare, struct err *err)
{
	struct tree_merge request;

	steps_begin(&prepare->steps, "merge");
	if (request_of(prepare, &request, err) < 0)
		return -1;
	if (output_say(prepare->output, err, "merging %.12s into %.12s", request.source, request.base) < 0)
		return -1;
	if (tree_merge_begin(prepare->tree, prepare->arena, &request, &prepare->merged, err) < 0)
		return prepare->merged.conflicts ? say_conflicts(prepare, err) : -1;
	return 0;
}

/* Its files are looked at while the commit is written. 1: the source is on the target already. */
static int end_merge(struct prepare *prepare, struct err *err)
{
	const char *section = arena_printf(prepare->arena, "project/%s", prepare->spec.project);
	struct err unfit = {0};
	int64_t maximum = 0;

	if (conf_integer(prepare->program->conf, section, "tree.limit", &maximum, err) < 0)
		return -1;
	int checked = export_check(prepare->tree, prepare->merged.tree, maximum, &unfit);
	if (tree_merge_end(prepare->tree, prepare->arena, &prepare->merged, err) < 0)
		return -1;
	if (check_expected(prepare, err) < 0 || output_say(prepare->output, err, "the merge is %s", prepare->merged.commit) < 0)
		return -1;
	int done = check_change(prepare, err);
	if (done == 0 && checked < 0)
		*err = unfit;
	return done == 0 ? checked : done;
}

static int export(struct prepare *prepare, struct err *err)
{
	const char *index = arena_printf(prepare->arena, "%s/index", prepare->folder);

	steps_begin(&prepare->steps, "export");
	prepare->layer = arena_printf(prepare->arena, "%s/layer", prepare->folder);
	const char *workspace = arena_printf(prepare->arena, "%s/workspace", prepare->layer);
	if (file_make_folder(workspace, 0755, err) < 0)
		return -1;
	return export_files(prepare->tree, prepare->merged.tree, workspace, index, err);
}

static int open_log(struct prepare *prepare, struct err *err)
{
	prepare->output = output_open(arena_printf(prepare->arena, "%s/log", prepare->folder), OUTPUT_LINE * 20, err);
	return prepare->output ? 0 : -1;
}

/* 1: the source is on the target already. */
static int work(struct prepare *prepare, struct err *err)
{
	int done = fetch(prepare, err);

	CRASH_POINT("prepare.fetched");
	if (done == 0 && (done = merge(prepare, err)) == 0)
		done = end_merge(prepare, err);
	CRASH_POINT("prepare.merged");
	if (done == 0)
		done = export(prepare, err);
	CRASH_POINT("prepare.exported");
	return done;
}

/* What is just being made for this very merge is waited for: it began before us. 1: taken over. */
static int take(struct prepare *prepare, struct err *err)
{
	struct ending made = {0};
	const struct premade_wish wish = {.program = prepare->program, .spec = &prepare->spec, .wait = true,
		.layer = arena_printf(prepare->arena, "%s/layer", prepare->folder)};
	int done = premade_take(&wish, &made, prepare->arena, err);

	if (done <= 0)
		return done;
	steps_begin(&prepare->steps, "merge");
	snprintf(prepare->merged.commit, sizeof prepare->merged.commit, "%s", made.merge);
	snprintf(prepare->merged.tree, sizeof prepare->merged.tree, "%s", made.tree);
	return output_say(prepare->output, err, PREPARE_TAKEN, made.merge) < 0 ? -1 : 1;
}

static int begin_commit(struct prepare *prepare, const char *id, struct err *err)
{
	struct tree_merge request;

	if (request_of(prepare, &request, err) < 0 || open_tree(prepare, err) < 0)
		return -1;
	return tree_commit_begin(prepare->tree, prepare->arena, &request, id, err);
}

/*
 * The same of what was begun when a hook came, before anybody knew what the commit will say: that is written now, if it can be while
 * the files are. When it can't be at all, as the clone was made anew meanwhile, all is made here. 1: taken over.
 */
static int take_ahead(struct prepare *prepare, struct err *err)
{
	const struct ahead_wish wish = {.program = prepare->program, .spec = &prepare->spec,
		.layer = arena_printf(prepare->arena, "%s/layer", prepare->folder)};
	char expected[TREE_ID_SIZE] = "";
	struct err lost = {0};
	int begun = ahead_expect(&wish, expected, prepare->arena, err);

	if (begun < 0 || (begun > 0 && begin_commit(prepare, expected, err) < 0))
		return -1;
	int done = ahead_take(&wish, prepare->merged.tree, prepare->arena, err);
	if (done <= 0)
		return done;
	steps_begin(&prepare->steps, "merge");
	if (strcmp(expected, prepare->merged.tree) != 0 && begin_commit(prepare, prepare->merged.tree, err) < 0)
		return -1;
	if (tree_merge_end(prepare->tree, prepare->arena, &prepare->merged, &lost) < 0) {
		prepare->steps = (struct steps){0};
		return builds_remove(wish.layer, err) < 0 ? -1 : output_say(prepare->output, err, "made again: %s", lost.text);
	}
	return check_expected(prepare, err) < 0 || output_say(prepare->output, err, PREPARE_TAKEN, prepare->merged.commit) < 0 ? -1 : 1;
}

static int run(struct prepare *prepare, bool beforehand, struct err *err)
{
	if (builds_spec_at(prepare->arena, arena_printf(prepare->arena, "%s/spec.json", prepare->folder), &prepare->spec, err) < 0 ||
		open_log(prepare, err) < 0)
		return -1;
	int taken = beforehand ? 0 : take(prepare, err);
	if (taken == 0)
		taken = take_ahead(prepare, err);
	return taken < 0 ? -1 : taken > 0 ? 0 : work(prepare, err);
}

static int tell(struct prepare *prepare, enum outcome outcome, const char *reason)
{
	steps_end(&prepare->steps);
	const struct ending ending = {.outcome = outcome, .reason = reason, .merge = prepare->merged.commit, .tree = prepare->merged.tree,
		.steps = prepare->steps};

	return prepared_write(STDOUT_FILENO, &ending) == 0 ? 0 : outcome_exit(OUTCOME_INFRASTRUCTURE);
}

/* *outcome is set; the exit status is returned. */
static int prepare_all(struct prepare *prepare, bool beforehand, enum outcome *outcome)
{
	struct err err = {0};

	int done = run(prepare, beforehand, &err);
	*outcome = done < 0 ? ending_of_error(&err) : done > 0 ? OUTCOME_LANDED : OUTCOME_SUCCESS;
	const char *reason = done < 0 ? output_line(prepare->arena, err.text, strlen(err.text), sizeof err.text)
		: done > 0 ? "it is on the target already" : "";
	done = tell(prepare, *outcome, reason);
	output_close(prepare->output);
	tree_free(prepare->tree);
	return done;
}

int prepare_build(const struct program *program, const char *build)
{
	struct arena *arena = arena_new();
	struct prepare prepare = {.program = program, .arena = arena, .word = ""};
	struct err err = {0};
	enum outcome outcome;

	prepare.folder = builds_path(program, arena, build, NULL, &err);
	int done = prepare.folder ? prepare_all(&prepare, false, &outcome) : outcome_exit(OUTCOME_INFRASTRUCTURE);
	arena_free(arena);
	return done;
}

int prepare_beforehand(const struct program *program, const char *folder)
{
	struct arena *arena = arena_new();
	struct prepare prepare = {.program = program, .arena = arena, .word = "premade", .folder = folder};
	enum outcome outcome;

	int done = prepare_all(&prepare, true, &outcome);
	arena_free(arena);
	return done == 0 ? outcome_exit(outcome) : done;
}
