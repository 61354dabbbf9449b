#include "slaves/worker/spare.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/sock.h"
#include "slaves/cage/blank.h"
#include "slaves/worker/first.h"
#include "slaves/worker/worker_wire.h"

#define SILENCE_MS 1000 /* of a connection on which nothing is asked for */

/*
 * A connection on its way, with its descriptors: itself, and the mounts of who made it, if they are known. Without any it says that the
 * container is there: who still starts one may find no slot, and is given nothing.
 */
struct order {
	uid_t uid;
};

struct self {
	int daemon;
	struct handler_want want;
};

static int send_order(int fd, const struct handler_want *want, struct err *err)
{
	const struct order order = {.uid = want->uid};
	const int descriptors[] = {want->connection, want->mounts};

	return sock_send(fd, &order, sizeof order, descriptors, want->connection < 0 ? 0 : want->mounts < 0 ? 1 : 2, err);
}

/* 1: there is one; 0: the other side is gone. */
static int receive_order(int fd, struct handler_want *want)
{
	int descriptors[SOCK_DESCRIPTORS];
	struct order order;
	struct err err = {0};
	size_t count = 0;
	ssize_t length = sock_receive(fd, &order, sizeof order, descriptors, &count, &err);

	if (length == (ssize_t)sizeof order && count <= 2) {
		want->uid = order.uid;
		want->connection = count > 0 ? descriptors[0] : -1;
		want->mounts = count > 1 ? descriptors[1] : -1;
		return 1;
	}
	while (count)
		close(descriptors[--count]);
	return 0;
}

enum wish {
	WISH_OVER,  /* nobody wants us any more */
	WISH_OTHER, /* not for us: nothing, rubbish, or no worker */
	WISH_SLOT,  /* a worker that we can't be: it may need our slot */
	WISH_OURS
};

/* What is asked for first stays to be read. */
static enum wish wish_of(const struct handler_want *want)
{
	struct pollfd wait = {.fd = want->connection, .events = POLLIN};
	struct arena *arena = arena_new();
	char bytes[sizeof(struct worker_request) + 1];
	struct worker_request request;
	struct conf *conf = NULL;
	struct err err = {0};
	enum wish wish = WISH_OTHER;
	ssize_t length;

	if (poll(&wait, 1, SILENCE_MS) <= 0)
		goto err0;
	length = recv(want->connection, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
	if (length <= 0 || (worker_wire_check(bytes, (size_t)length, 0, &request, &err) < 0 &&
		worker_wire_check(bytes, (size_t)length, 1, &request, &err) < 0)) /* READY and START */
		goto err0;
	if ((request.operation == WORKER_READY || request.operation == WORKER_START) && want->uid != 0)
		wish = conf_load(&conf, want->source, &err) == 0 && blank_suits(arena, conf, request.section) ? WISH_OURS : WISH_SLOT;
	conf_free(conf);
err0:
	arena_free(arena);
	return wish;
}

static void give_back(const struct self *self)
{
	struct err err = {0};

	if (send_order(self->daemon, &self->want, &err) < 0)
		handler_turn_away(self->want.connection, &err);
	close(self->want.connection);
	if (self->want.mounts >= 0)
		close(self->want.mounts);
}

/* Until there is a wish that ends our waiting. */
static enum wish await_wish(struct self *self, const struct blank *blank)
{
	int64_t deadline_us = clock_monotonic_us() + BLANK_LIVES_MS * 1000;
	struct pollfd wait = {.fd = self->daemon, .events = POLLIN};
	struct err err = {0};
	int64_t left_ms;
	enum wish wish;

	while ((left_ms = (deadline_us - clock_monotonic_us()) / 1000) > 0 && blank_check(blank, &err) == 0) {
		if (poll(&wait, 1, (int)left_ms) <= 0)
			continue;
		if (receive_order(self->daemon, &self->want) == 0)
			return WISH_OVER;
		wish = wish_of(&self->want);
		if (wish == WISH_OURS && blank_check(blank, &err) < 0)
			wish = WISH_SLOT;
		if (wish != WISH_OTHER)
			return wish;
		give_back(self);
	}
	return WISH_OVER;
}

static void run(const void *cookie)
{
	struct self self = *(const struct self *)cookie;
	struct arena *arena = arena_new();
	struct conf *conf = NULL;
	struct err err = {0};
	enum wish wish;

	if (first_self(&self.want.pid, &self.want.process_start, &err) < 0 || conf_load(&conf, self.want.source, &err) < 0) {
		log_error(LOG_WHAT("no container waits"), LOG_ERR(&err));
		_exit(1);
	}
	self.want.blank = blank_start(arena, conf, self.want.pid, self.want.process_start, &err);
	if (!self.want.blank) {
		if (err.kind != ERR_BUSY) /* all slots have work */
			log_error(LOG_WHAT("no container waits"), LOG_ERR(&err));
		_exit(0);
	}
	log_info(LOG_WHAT("a container waits for a job"), LOG_NUMBER("pid", self.want.pid));
	wish = send_order(self.daemon, &self.want, &err) < 0 ? WISH_OVER : await_wish(&self, self.want.blank);
	struct pollfd late = {.fd = self.daemon, .events = POLLIN}; /* what came when our time was over */
	if (wish == WISH_OURS) {
		close(self.daemon);
		handler_run(&self.want);
	}
	if (blank_remove(self.want.blank, &err) < 0) {
		log_error(LOG_WHAT("a container that waited is not removed"), LOG_ERR(&err));
		_exit(1);
	}
	if (wish == WISH_SLOT)
		give_back(&self);
	while (poll(&late, 1, 0) > 0 && receive_order(self.daemon, &self.want) > 0)
		give_back(&self);
	_exit(0);
}

int spare_start(struct spare *spare, const struct handler_want *want, struct err *err)
{
	struct self self = {.want = *want};
	int ends[2], others[16];
	size_t count = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_set_errno(err, errno, "no socket for a container that waits");
	while (count < sizeof others / sizeof *others - 2 && want->others[count] >= 0) {
		others[count] = want->others[count];
		count++;
	}
	others[count] = ends[0];
	others[count + 1] = -1;
	self.daemon = ends[1];
	pid = first_start(others, run, &self, err);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return -1;
	}
	*spare = (struct spare){.fd = ends[0], .pid = pid};
	return 0;
}

bool spare_give(struct spare *spare, const struct handler_want *want)
{
	struct err err = {0};

	if (spare->fd < 0 || !spare->waits || send_order(spare->fd, want, &err) < 0)
		return false;
	spare->waits = false;
	spare->lent = true;
	return true;
}

int spare_take(struct spare *spare, struct handler_want *want)
{
	int said = receive_order(spare->fd, want);

	spare->waits = said > 0;
	spare->lent = false;
	if (said > 0)
		return want->connection < 0 ? 2 : 1;
	close(spare->fd);
	spare->fd = -1;
	return 0;
}
