#include "slaves/common/trash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/log.h"

#define TRASH_NAME_BYTES 8

struct trash {
	struct loop *loop;
	char *folder;
	struct loop_source *emptying; /* the process that does; NULL: none */
	bool again;                   /* something came meanwhile */
};

static void empty(struct trash *trash);

static void emptied(void *cookie, int status)
{
	struct trash *trash = cookie;

	trash->emptying = NULL;
	if (status != 0)
		log_warning(LOG_WHAT("not everything could be removed"), LOG_TEXT("folder", trash->folder), LOG_NUMBER("status", status));
	if (trash->again)
		empty(trash);
}

/* find(1) does not follow links and stays on its file system. */
static void empty(struct trash *trash)
{
	struct child child = CHILD_INIT;
	const char *const argv[] = {"find", trash->folder, "-xdev", "-mindepth", "1", "-delete", NULL};
	struct err err = {0};
	pid_t pid;

	trash->again = trash->emptying != NULL;
	if (trash->emptying)
		return;
	child.argv = argv;
	child.err = STDERR_FILENO;
	child.session = true;
	if (child_spawn(&child, &pid, NULL, &err) < 0)
		log_warning(LOG_WHAT("nothing can be removed"), LOG_TEXT("folder", trash->folder), LOG_ERR(&err));
	else
		trash->emptying = loop_child(trash->loop, pid, emptied, trash);
}

struct trash *trash_new(struct loop *loop, const struct program *program, struct err *err)
{
	const char *folder = program_state(program, "slave/trash", err);

	if (!folder || file_make_folder(folder, 0700, err) < 0)
		return NULL;
	struct trash *trash = calloc(1, sizeof *trash);
	if (!trash || !(trash->folder = strdup(folder)))
		abort();
	trash->loop = loop;
	empty(trash);
	return trash;
}

void trash_free(struct trash *trash)
{
	if (!trash)
		return;
	loop_cancel(trash->emptying);
	free(trash->folder);
	free(trash);
}

int trash_take(struct trash *trash, const char *path, struct err *err)
{
	char name[2 * TRASH_NAME_BYTES + 1], *place = NULL;

	crypto_random_hex(TRASH_NAME_BYTES, name);
	if (asprintf(&place, "%s/%s", trash->folder, name) < 0)
		abort();
	int done = rename(path, place);
	if (done < 0 && errno == ENOENT)
		done = 0;
	else if (done < 0)
		err_set_errno(err, errno, "move %s out of the way", path);
	else
		empty(trash);
	free(place);
	return done;
}
