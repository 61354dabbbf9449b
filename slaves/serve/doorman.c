#include "slaves/serve/doorman.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/child.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/strv.h"

#define USHERS 40 /* at a time: more than their sshd lets in (setup/lib/author.sh), since some wait for a forge */
#define PAUSE_MS 500 /* when no connection can be taken */

struct doorman {
	struct loop *loop;
	const struct program *program;
	struct loop_source *source, *pause;
	int listener;
	uid_t user;
	unsigned ushers;
};

static void ended(void *cookie, int status)
{
	struct doorman *doorman = cookie;

	(void)status;
	doorman->ushers--;
}

static int start(struct doorman *doorman, int connection, struct err *err)
{
	struct strv argv = STRV_INIT, environment = STRV_INIT;
	struct child child = CHILD_INIT;
	pid_t pid = 0;
	int done;

	program_command(doorman->program, NULL, &argv, &environment);
	strv_push(&argv, "usher");
	child.argv = (const char *const *)argv.v;
	child.environment = (const char *const *)environment.v;
	child.in = connection;
	child.err = STDERR_FILENO;
	child.dies_with_parent = true;
	done = child_spawn(&child, &pid, NULL, err);
	strv_release(&argv);
	strv_release(&environment);
	if (done < 0)
		return -1;
	doorman->ushers++;
	loop_child(doorman->loop, pid, ended, doorman);
	return 0;
}

static int check(const struct doorman *doorman, int connection, struct err *err)
{
	uid_t uid;

	if (sock_peer(connection, &uid, NULL, NULL, err) < 0)
		return -1;
	if (uid != 0 && uid != doorman->user)
		return err_set(err, ERR_REFUSED, "user %u may not ask for authors", (unsigned)uid);
	return doorman->ushers < USHERS ? 0 : err_set(err, ERR_BUSY, "%u authors come in at this moment", doorman->ushers);
}

static void pause_over(void *cookie)
{
	struct doorman *doorman = cookie;

	doorman->pause = NULL;
	loop_io_events(doorman->source, EPOLLIN);
}

/* Who waits to be taken goes on waiting, as do we: no descriptor is free, say. */
static void pause_taking(struct doorman *doorman, int number)
{
	log_warning(LOG_WHAT("nobody is let in"), LOG_TEXT("error", strerror(number)));
	loop_io_events(doorman->source, 0);
	doorman->pause = loop_after(doorman->loop, PAUSE_MS, pause_over, doorman);
}

static void take(void *cookie, int fd, uint32_t events)
{
	struct doorman *doorman = cookie;
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	struct err err = {0};

	(void)events;
	if (connection < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			pause_taking(doorman, errno);
		return;
	}
	if (check(doorman, connection, &err) < 0 || start(doorman, connection, &err) < 0)
		log_warning(LOG_WHAT("nobody is let in"), LOG_ERR(&err));
	close(connection);
}

struct doorman *doorman_new(struct loop *loop, const struct program *program, struct err *err)
{
	const char *listen = NULL, *name = NULL, *path = NULL;
	const struct passwd *user;
	struct doorman *doorman;
	int listener;

	if (conf_text(program->conf, NULL, "author.listen", &listen, err) < 0 || !listen ||
		!(name = program_option(program, "author.user", err)) || !(path = program_option(program, "author.socket", err)))
		return NULL;
	user = getpwnam(name);
	if (!user || user->pw_uid == 0) {
		err_set(err, ERR_CONFIG, "author.user = %s: there is no such user but root; setup/byoci makes it", name);
		return NULL;
	}
	listener = sock_listen(path, SOCK_SEQPACKET, err);
	if (listener < 0)
		return NULL;
	doorman = calloc(1, sizeof *doorman);
	if (!doorman)
		err_fatal("no memory");
	*doorman = (struct doorman){.loop = loop, .program = program, .listener = listener, .user = user->pw_uid};
	doorman->source = loop_io(loop, listener, EPOLLIN, take, doorman);
	return doorman;
}

void doorman_free(struct doorman *doorman)
{
	if (!doorman)
		return;
	loop_cancel(doorman->source);
	loop_cancel(doorman->pause);
	close(doorman->listener);
	free(doorman);
}
