#include "forge/merge.h"

#include <inttypes.h>
#include <string.h>

#define AHEAD 600 /* seconds that a source may be dated after now */

/* The message without blanks at its end: git would strip them, and the id must not depend on who does. */
static size_t trimmed(const char *message)
{
	size_t length = strlen(message);

	while (length > 0 && strchr(" \t\r\n", message[length - 1]))
		length--;
	return length;
}

int merge_plan(struct arena *arena, const struct forge_proposal *proposal, const char *source, int64_t now,
	struct merge_plan *plan, struct err *err)
{
	size_t length = trimmed(proposal->message);

	if (strcmp(source, proposal->head) != 0)
		return err_set(
			err, ERR_MOVED, "%s: %.12s is not its head any more: that is %.12s", proposal->name, source, proposal->head);
	if (proposal->head_time > now + AHEAD)
		return err_set(err, ERR_REFUSED,
			"%s: its source commit %.12s is dated %" PRId64 " s in the future: mend the clock it was made with, then "
			"`git commit --amend --reset-author`, push and propose again", proposal->name, source, proposal->head_time - now);
	if (length == 0)
		return err_set(err, ERR_INPUT, "%s: it has no message: propose again with -m TEXT", proposal->name);
	plan->base = arena_strdup(arena, proposal->target_tip);
	plan->source = arena_strdup(arena, source);
	plan->message = arena_printf(arena, "%.*s\n\nMerged from %s", (int)length, proposal->message, proposal->url);
	plan->author_name = arena_strdup(arena, proposal->author_name);
	plan->author_email = arena_strdup(arena, proposal->author_email);
	plan->date = proposal->head_time > proposal->target_time ? proposal->head_time : proposal->target_time;
	return 0;
}
