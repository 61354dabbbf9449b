#include "proposal/helper.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/log.h"

enum { ANSWER_MAXIMUM = 16 * 1024 * 1024, LIMIT_MS = 60000, PIECE = 64 * 1024 };

struct asked {
	TAILQ_ENTRY(asked) link;
	char *what;
	helper_fn *call; /* NULL: forgotten */
	void *cookie;
};

struct helper {
	LIST_ENTRY(helper) link;
	struct helpers *helpers;
	char *project;
	bool past; /* started with another configuration */
	pid_t pid; /* 0: it was reaped */
	int fd;
	struct loop_source *readable, *end, *limit;
	struct buf text;
	TAILQ_HEAD(, asked) asked; /* the first one was sent */
};

struct helpers {
	struct brain *brain;
	LIST_HEAD(, helper) list;
};

static void free_asked(struct helper *helper, struct asked *asked)
{
	TAILQ_REMOVE(&helper->asked, asked, link);
	free(asked->what);
	free(asked);
}

/* It is killed, if it lives; what was asked of it is not answered by this. */
static void free_helper(struct helper *helper)
{
	LIST_REMOVE(helper, link);
	if (helper->pid > 0)
		kill(-helper->pid, SIGKILL);
	loop_cancel(helper->readable);
	loop_cancel(helper->limit);
	close(helper->fd);
	buf_release(&helper->text);
	free(helper->project);
	free(helper);
}

static void reaped(void *cookie, int status)
{
	(void)cookie;
	(void)status;
}

/* Nothing more comes from it: what was asked is asked again by who asked. */
static void give_up(struct helper *helper, const char *why)
{
	struct asked *asked;

	if (!TAILQ_EMPTY(&helper->asked))
		log_warning(LOG_WHAT("a reader of proposals ended"), LOG_TEXT("project", helper->project), LOG_TEXT("why", why));
	if (helper->end) {
		loop_cancel(helper->end);
		loop_child(helper->helpers->brain->loop, helper->pid, reaped, NULL);
	}
	helper->end = NULL;
	while ((asked = TAILQ_FIRST(&helper->asked))) {
		helper_fn *call = asked->call;
		void *about = asked->cookie;

		free_asked(helper, asked);
		if (call)
			call(about, -1, why);
	}
	free_helper(helper);
}

static void on_limit(void *cookie)
{
	struct helper *helper = cookie;

	helper->limit = NULL;
	give_up(helper, "it took too long");
}

static void on_end(void *cookie, int status)
{
	struct helper *helper = cookie;

	(void)status;
	helper->end = NULL;
	helper->pid = 0;
	give_up(helper, "its process ended");
}

static void send_first(struct helper *helper)
{
	struct asked *asked = TAILQ_FIRST(&helper->asked);
	size_t length;

	loop_cancel(helper->limit);
	helper->limit = NULL;
	if (!asked)
		return;
	length = strlen(asked->what); /* with its newline */
	helper->limit = loop_after(helper->helpers->brain->loop, LIMIT_MS, on_limit, helper);
	if (send(helper->fd, asked->what, length, MSG_NOSIGNAL) != (ssize_t)length)
		log_debug(LOG_WHAT("a reader of proposals does not listen")); /* its end is told */
}

/* "STATUS SP TEXT LF". */
static void take_line(struct helper *helper, char *line)
{
	struct asked *asked = TAILQ_FIRST(&helper->asked);
	char *rest = NULL;
	long status = strtol(line, &rest, 10);
	helper_fn *call;
	void *about;

	if (!asked || rest == line || *rest != ' ') {
		give_up(helper, "it says what it was not asked for");
		return;
	}
	call = asked->call;
	about = asked->cookie;
	free_asked(helper, asked);
	if (helper->past && TAILQ_EMPTY(&helper->asked))
		give_up(helper, "");
	else
		send_first(helper);
	if (call)
		call(about, (int)status, rest + 1);
}

static void on_readable(void *cookie, int fd, uint32_t events)
{
	struct helper *helper = cookie;
	char piece[PIECE], *newline, *line;
	ssize_t got = recv(fd, piece, sizeof piece, MSG_DONTWAIT);

	(void)events;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0 || buf_add(&helper->text, piece, (size_t)got) < 0) {
		give_up(helper, got > 0 ? "its answer is too long" : "it closed its output");
		return;
	}
	newline = memchr(helper->text.data, '\n', helper->text.length);
	if (!newline)
		return;
	*newline = '\0'; /* one question at a time: nothing follows its answer */
	line = strdup(helper->text.data);
	if (!line)
		err_fatal("out of memory");
	helper->text.length = 0;
	take_line(helper, line);
	free(line);
}

static struct helper *start(struct helpers *helpers, const struct helper_wish *wish, struct err *err)
{
	struct child child = CHILD_INIT;
	struct loop *loop = helpers->brain->loop;
	struct helper *helper;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		err_set_errno(err, errno, "socketpair");
		return NULL;
	}
	helper = calloc(1, sizeof *helper);
	if (!helper || !(helper->project = strdup(wish->project)))
		err_fatal("out of memory");
	child.argv = wish->argv;
	child.environment = wish->environment;
	child.in = child.out = ends[1];
	child.err = STDERR_FILENO;
	child.dies_with_parent = true;
	if (child_spawn(&child, &helper->pid, NULL, err) < 0) {
		close(ends[0]);
		close(ends[1]);
		free(helper->project);
		free(helper);
		return NULL;
	}
	close(ends[1]);
	helper->helpers = helpers;
	helper->fd = ends[0];
	buf_init(&helper->text, ANSWER_MAXIMUM);
	TAILQ_INIT(&helper->asked);
	helper->readable = loop_io(loop, helper->fd, EPOLLIN, on_readable, helper);
	helper->end = loop_child(loop, helper->pid, on_end, helper);
	LIST_INSERT_HEAD(&helpers->list, helper, link);
	return helper;
}

static struct helper *find(struct helpers *helpers, const char *project)
{
	struct helper *helper;

	LIST_FOREACH(helper, &helpers->list, link)
		if (!helper->past && strcmp(helper->project, project) == 0)
			return helper;
	return NULL;
}

int helper_ask(struct helpers *helpers, const struct helper_wish *wish, struct err *err)
{
	struct helper *helper = find(helpers, wish->project);
	struct asked *asked;

	if (!helper && !(helper = start(helpers, wish, err)))
		return -1;
	asked = calloc(1, sizeof *asked);
	if (!asked || asprintf(&asked->what, "%s\n", wish->what) < 0)
		err_fatal("out of memory");
	asked->call = wish->call;
	asked->cookie = wish->cookie;
	TAILQ_INSERT_TAIL(&helper->asked, asked, link);
	if (TAILQ_FIRST(&helper->asked) == asked)
		send_first(helper);
	return 0;
}

void helper_forget(struct helpers *helpers, const void *cookie)
{
	struct helper *helper;
	struct asked *asked;

	LIST_FOREACH(helper, &helpers->list, link)
		TAILQ_FOREACH(asked, &helper->asked, link)
			if (asked->cookie == cookie)
				asked->call = NULL;
}

void helper_renew(struct helpers *helpers)
{
	struct helper *helper, *next;

	for (helper = LIST_FIRST(&helpers->list); helper; helper = next) {
		next = LIST_NEXT(helper, link);
		helper->past = true;
		if (TAILQ_EMPTY(&helper->asked))
			give_up(helper, "");
	}
}

struct helpers *helper_new(struct brain *brain)
{
	struct helpers *helpers = calloc(1, sizeof *helpers);

	if (!helpers)
		err_fatal("out of memory");
	helpers->brain = brain;
	LIST_INIT(&helpers->list);
	return helpers;
}

void helper_free(struct helpers *helpers)
{
	if (!helpers)
		return;
	while (!LIST_EMPTY(&helpers->list)) {
		struct helper *helper = LIST_FIRST(&helpers->list);

		loop_cancel(helper->end);
		while (!TAILQ_EMPTY(&helper->asked))
			free_asked(helper, TAILQ_FIRST(&helper->asked));
		free_helper(helper);
	}
	free(helpers);
}
