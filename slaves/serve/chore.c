#include "slaves/serve/chore.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"

struct chore {
	chore_done_fn *done; /* NULL: nobody waits any more */
	void *cookie;
	pid_t pid;
	int out, status;
	struct buf text;
	struct loop_source *reading, *limit;
	bool read_all, ended;
};

static void finish(struct chore *chore)
{
	if (!chore->read_all || !chore->ended)
		return;
	loop_cancel(chore->limit);
	if (buf_add(&chore->text, "", 1) < 0)
		err_fatal("a buffer that is smaller than it is");
	if (chore->done)
		chore->done(chore->cookie, chore->status, chore->text.data);
	close(chore->out);
	buf_release(&chore->text);
	free(chore);
}

static void output_comes(void *cookie, int fd, uint32_t events)
{
	struct chore *chore = cookie;
	char bytes[4096];
	ssize_t length = read(fd, bytes, sizeof bytes);

	(void)events;
	if (length < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (length > 0) {
		size_t room = CHORE_OUTPUT - chore->text.length, part = (size_t)length < room ? (size_t)length : room;
		if (buf_add(&chore->text, bytes, part) < 0)
			err_fatal("a buffer that is smaller than it is");
		return;
	}
	loop_cancel(chore->reading);
	chore->reading = NULL;
	chore->read_all = true;
	finish(chore);
}

static void ended(void *cookie, int status)
{
	struct chore *chore = cookie;

	chore->status = status;
	chore->ended = true;
	finish(chore);
}

static void too_late(void *cookie)
{
	struct chore *chore = cookie;

	chore->limit = NULL;
	if (!chore->ended)
		kill(chore->pid, SIGKILL);
}

static int spawn(const struct chore_want *want, int out, pid_t *pid, struct err *err)
{
	struct strv argv = STRV_INIT, environment = STRV_INIT;
	struct child child = CHILD_INIT;

	program_command(want->program, NULL, &argv, &environment);
	for (const char *const *word = want->words; *word; word++)
		strv_push(&argv, *word);
	child.argv = (const char *const *)argv.v;
	child.environment = (const char *const *)environment.v;
	child.out = out;
	child.err = out;
	child.dies_with_parent = true;
	int done = child_spawn(&child, pid, NULL, err);
	strv_release(&argv);
	strv_release(&environment);
	return done;
}

struct chore *chore_start(const struct chore_want *want, struct err *err)
{
	int pipes[2];
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0) {
		err_set_errno(err, errno, "make a pipe");
		return NULL;
	}
	int done = spawn(want, pipes[1], &pid, err);
	close(pipes[1]);
	if (done < 0) {
		close(pipes[0]);
		return NULL;
	}
	struct chore *chore = calloc(1, sizeof *chore);
	if (!chore)
		abort();
	*chore = (struct chore){.done = want->done, .cookie = want->cookie, .pid = pid, .out = pipes[0]};
	buf_init(&chore->text, CHORE_OUTPUT + 1);
	chore->reading = loop_io(want->loop, chore->out, EPOLLIN, output_comes, chore);
	chore->limit = loop_after(want->loop, want->limit_ms, too_late, chore);
	loop_child(want->loop, pid, ended, chore);
	return chore;
}

void chore_free(struct chore *chore)
{
	if (!chore)
		return;
	chore->done = NULL;
	if (!chore->ended)
		kill(chore->pid, SIGKILL);
}
