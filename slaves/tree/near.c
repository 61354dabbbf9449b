#include "slaves/tree/near.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"

#define LIMIT_MS (60 * 60 * 1000)

static int begin(const struct git *git, const struct git_call *call, struct git_job *job, struct err *err)
{
	if (git_begin(git, call, job, err) == 0)
		return 0;
	child_result_release(&job->result);
	return -1;
}

/* "commit ID TREE REF" lines; what is no commit is not taken. */
static void take_ids(char *text, struct near *near)
{
	for (char *line, *rest = text; (line = strsep(&rest, "\n"));) {
		const char *type = strsep(&line, " "), *id = strsep(&line, " "), *tree = strsep(&line, " ");
		if (!line || strcmp(type, "commit") != 0 || strlen(id) >= GIT_ID_SIZE || strlen(tree) >= GIT_ID_SIZE)
			continue;
		for (size_t i = 0; i < near->count; i++) {
			if (strcmp(line, near->wanted[i]) != 0)
				continue;
			snprintf(near->ids[i], GIT_ID_SIZE, "%s", id);
			snprintf(near->trees[i], GIT_ID_SIZE, "%s", tree);
		}
	}
}

/* What a ref of ours is: the clone is never packed that far (tidy.c). "" when it is not there so (gitrepository-layout(5)). */
static void read_kept(const struct near *near, struct arena *arena, const char *ref, char id[static GIT_ID_SIZE])
{
	struct err ignored = {0};
	size_t length = 0;
	const char *text = file_read(arena, arena_printf(arena, "%s/%s", near->repository, ref), GIT_ID_SIZE, &length, &ignored);

	id[0] = 0;
	if (text && length > 1 && text[length - 1] == '\n' && strspn(text, "0123456789abcdef") == length - 1)
		snprintf(id, GIT_ID_SIZE, "%.*s", (int)length - 1, text);
}

int near_look(struct near *near, struct arena *arena)
{
	const char *arguments[NEAR_REFS + 3] = {"for-each-ref", "--format=%(objecttype) %(objectname) %(tree) %(refname)"};
	struct err why = {0};

	if (near->count > NEAR_REFS)
		return 0;
	for (size_t i = 0; i < near->count; i++) {
		near->ids[i][0] = near->trees[i][0] = 0;
		arguments[2 + i] = near->wanted[i];
		read_kept(near, arena, near->kept[i], near->here[i]);
	}
	char *text = git_text(near->theirs, arena, &(struct git_call){.arguments = arguments}, NULL, &why);
	if (text)
		take_ids(text, near);
	else
		log_debug(LOG_WHAT("left to git fetch"), LOG_ERR(&why));
	for (size_t i = 0; i < near->count; i++)
		if (!near->ids[i][0])
			return 0;
	return 1;
}

/*
 * What is to be packed: the wanted without what a branch was when it was fetched last. What a proposal was may not be there any more.
 * 1: something; 0: nothing; -1: nothing of it is here.
 */
static int list_missing(const struct near *near, struct buf *list)
{
	int missing = 0;
	bool any = false;

	for (size_t i = 0; i < near->count; i++) {
		bool branch = strncmp(near->wanted[i], "refs/heads/", 11) == 0;
		if (branch && !near->here[i][0])
			return -1;
		if (strcmp(near->ids[i], near->here[i]) != 0 && buf_printf(list, "%s\n", near->ids[i]) == 0)
			missing = 1;
		if (branch && buf_printf(list, "^%s\n", near->here[i]) == 0)
			any = true;
	}
	return any ? missing : -1;
}

static int end_one(struct git_job *job, struct err *err)
{
	int done = git_end(job, err);

	if (done == 0 && job->result.status != 0)
		done = git_failed(&job->result, job->subcommand, err);
	child_result_release(&job->result);
	return done;
}

/* One feeds the other. */
static int pack_and_index(const struct near *near, const struct buf *list, struct err *err)
{
	struct git_job packing, indexing;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set_errno(err, errno, "no pipe");
	const struct git_call pack = {.arguments = GIT_ARGUMENTS("pack-objects", "--revs", "--thin", "--stdout", "-q", "--delta-base-offset"),
		.input = list->data, .input_length = list->length, .to = &fds[1], .limit_ms = LIMIT_MS};
	const struct git_call index = {.from = &fds[0], .limit_ms = LIMIT_MS,
		.arguments = GIT_ARGUMENTS("index-pack", "--threads=1", "--stdin", "--fix-thin", "--strict=" NEAR_LET_IN)};
	int done = begin(near->theirs, &pack, &packing, err), indexed = -1;
	close(fds[1]);
	if (done == 0 && (indexed = begin(near->ours, &index, &indexing, err)) < 0)
		git_abandon(&packing);
	close(fds[0]);
	if (done < 0 || indexed < 0)
		return -1;
	struct err second = {0};
	indexed = end_one(&indexing, err); /* who may have much to say first */
	done = end_one(&packing, indexed < 0 ? &second : err);
	return done < 0 || indexed < 0 ? -1 : 0;
}

/* As git fetch does before it moves a ref: whether all that the new ones lead to, but for what is kept already, is here. */
static int begin_asking(struct near *near, struct arena *arena, struct err *err)
{
	struct buf list;
	const char *input;

	buf_init(&list, NEAR_REFS * (GIT_ID_SIZE + 1));
	for (size_t i = 0; i < near->count; i++)
		if (buf_printf(&list, "%s\n", near->ids[i]) < 0)
			err_fatal("ids over their size");
	input = arena_strdup(arena, list.data);
	buf_release(&list);
	near->asks = begin(near->ours, &(struct git_call){.arguments = GIT_ARGUMENTS("rev-list", "--objects", "--stdin", "--not", "--all",
		"--quiet", "--alternate-refs"), .input = input, .input_length = strlen(input)}, &near->asking, err) == 0;
	return near->asks ? 0 : -1;
}

int near_fetch(struct near *near, struct arena *arena)
{
	struct err why = {0};
	struct buf list;
	int done = 0;

	buf_init(&list, 2 * NEAR_REFS * (GIT_ID_SIZE + 2));
	int missing = list_missing(near, &list);
	if (missing == 0 || (missing > 0 && pack_and_index(near, &list, &why) == 0))
		done = begin_asking(near, arena, &why) == 0;
	if (why.kind != ERR_NONE)
		log_debug(LOG_WHAT("left to git fetch"), LOG_ERR(&why));
	buf_release(&list);
	return done;
}

int near_whole(struct near *near, struct arena *arena)
{
	struct err why = {0};

	near->whole = near->asks && git_end_text(&near->asking, arena, NULL, &why);
	near->asks = false;
	if (why.kind != ERR_NONE)
		log_debug(LOG_WHAT("left to git fetch"), LOG_ERR(&why));
	return near->whole;
}

int near_keep(struct near *near, struct arena *arena)
{
	struct err why = {0};
	struct buf moves;
	bool kept = near->whole;

	near->whole = false;
	buf_init(&moves, NEAR_REFS * 256);
	for (size_t i = 0; kept && i < near->count; i++)
		kept = buf_printf(&moves, "update %s %s\n", near->kept[i], near->ids[i]) == 0;
	if (kept) {
		const struct git_call moving = {
			.arguments = GIT_ARGUMENTS("update-ref", "--stdin"), .input = moves.data, .input_length = moves.length};
		kept = git_text(near->ours, arena, &moving, NULL, &why) != NULL;
	}
	buf_release(&moves);
	if (why.kind != ERR_NONE)
		log_debug(LOG_WHAT("left to git fetch"), LOG_ERR(&why));
	return kept;
}

void near_stop(struct near *near)
{
	if (near->asks)
		git_abandon(&near->asking);
	near->asks = false;
}
