#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/handed.h"

#define STALE_LIMIT_US (3 * INT64_C(1000000))

static int address_of(const char *path, struct sockaddr_un *address, struct err *err)
{
	size_t length = strlen(path);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (length == 0 || length >= sizeof address->sun_path)
		return err_set(err, ERR_CONFIG, "%s: a socket's path has 1 to %zu bytes; set a shorter `run`", path,
			sizeof address->sun_path - 1);
	memcpy(address->sun_path, path, length + 1);
	return 0;
}

struct wanted {
	const char *path;
	int type;
};

static bool listens_at(int fd, const void *cookie)
{
	const struct wanted *wanted = cookie;
	struct sockaddr_un address = {.sun_family = AF_UNSPEC};
	socklen_t length = sizeof address - 1; /* so that sun_path ends with a NUL */
	int value = 0;
	socklen_t size = sizeof value;

	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0 || address.sun_family != AF_UNIX)
		return false;
	if (length <= offsetof(struct sockaddr_un, sun_path) || strcmp(address.sun_path, wanted->path) != 0)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) < 0 || value != wanted->type)
		return false;
	size = sizeof value;
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &size) == 0 && value;
}

static int bind_at(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0117); /* mode 0660 from its first moment */
	int rc = bind(fd, (const struct sockaddr *)address, sizeof *address);
	int number = errno;

	umask(before);
	errno = number;
	return rc;
}

/* Whether nobody listens at the socket file any more. */
static bool is_stale(const struct sockaddr_un *address, int type)
{
	int fd, rc;

	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	rc = connect(fd, (const struct sockaddr *)address, sizeof *address);
	if (rc < 0)
		rc = errno == ECONNREFUSED ? 1 : 0;
	close(fd);
	return rc == 1;
}

/*
 * What a server that was just killed had begun to start has its socket open until it executes: then nobody listens, but it looks as if
 * somebody did.
 */
static bool becomes_stale(const struct sockaddr_un *address, int type)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	int64_t end_us = clock_monotonic_us() + STALE_LIMIT_US;
	struct stat st;

	if (lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	while (!is_stale(address, type)) {
		if (clock_monotonic_us() > end_us)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

static int bind_anew(int fd, const struct sockaddr_un *address, int type, struct err *err)
{
	if (bind_at(fd, address) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return err_set_errno(err, errno, "%s: the socket cannot be made", address->sun_path);
	if (!becomes_stale(address, type))
		return err_set(err, ERR_BUSY, "%s: something is there already; stop the server that runs, or remove the file",
			address->sun_path);
	if (unlink(address->sun_path) < 0 || bind_at(fd, address) < 0)
		return err_set_errno(err, errno, "%s: the stale socket cannot be replaced", address->sun_path);
	return 0;
}

int sock_listen(const char *path, int type, struct err *err)
{
	const struct wanted wanted = {.path = path, .type = type};
	struct sockaddr_un address;
	int fd = handed_socket(listens_at, &wanted);

	if (fd >= 0)
		return fd;
	if (address_of(path, &address, err) < 0)
		return -1;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set_errno(err, errno, "%s: no socket", path);
	if (bind_anew(fd, &address, type, err) < 0)
		goto err1;
	if (listen(fd, SOMAXCONN) < 0) {
		err_set_errno(err, errno, "%s: cannot listen", path);
		goto err1;
	}
	return fd;
err1:
	close(fd);
	return -1;
}

/* Which program listens in …/NAMESPACE/FOLDER/socket. */
static const char *server_of(const char *path)
{
	static const struct {
		const char *tail, *program;
	} servers[] = {
		{"/brain/socket", "byoci-brain"},
		{"/slave/socket", "byoci-slave serve"},
		{"/land/socket", "byoci-slave serve --land"},
		{"/approval/socket", "byoci-slave serve --land"},
		{"/worker/socket", "byoci-worker"},
	};
	size_t length = strlen(path);

	for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
		size_t tail = strlen(servers[i].tail);

		if (length >= tail && strcmp(path + length - tail, servers[i].tail) == 0)
			return servers[i].program;
	}
	return "the server that listens there";
}

static int explain_connect(const char *path, int number, struct err *err)
{
	if (number == ENOENT || number == ECONNREFUSED) {
		err_set(err, ERR_NETWORK, "%s: nobody is there; start %s", path, server_of(path));
		err->number = number;
		return -1;
	}
	if (number == EACCES || number == EPERM) {
		err_set(err, ERR_REFUSED, "%s: you may not connect; only the group of its folder may", path);
		err->number = number;
		return -1;
	}
	return err_set_errno(err, number, "%s: cannot connect", path);
}

int sock_connect(const char *path, int type, struct err *err)
{
	struct sockaddr_un address;
	int fd, rc;

	if (address_of(path, &address, err) < 0)
		return -1;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set_errno(err, errno, "%s: no socket", path);
	do {
		rc = connect(fd, (const struct sockaddr *)&address, sizeof address);
	} while (rc < 0 && errno == EINTR);
	if (rc < 0) {
		explain_connect(path, errno, err);
		close(fd);
		return -1;
	}
	return fd;
}

int sock_peer(int fd, uid_t *uid, gid_t *gid, pid_t *pid, struct err *err)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return err_set_errno(err, errno, "who is at the other end of the socket cannot be known");
	if (uid)
		*uid = peer.uid;
	if (gid)
		*gid = peer.gid;
	if (pid)
		*pid = peer.pid;
	return 0;
}

union control {
	char bytes[CMSG_SPACE(SOCK_DESCRIPTORS * sizeof(int))];
	struct cmsghdr align;
};

/* After EINTR at once, on a socket that does not block when it is ready: try again. One that blocks says EAGAIN when its time is over. */
static bool again(int fd, short events)
{
	struct pollfd ready = {.fd = fd, .events = events};
	int flags;

	if (errno == EINTR)
		return true;
	if (errno != EAGAIN)
		return false;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || !(flags & O_NONBLOCK)) {
		errno = ETIMEDOUT;
		return false;
	}
	return poll(&ready, 1, -1) >= 0 || errno == EINTR;
}

static int late(struct err *err)
{
	err_set(err, ERR_TIMEOUT, "the other end of the socket did nothing for too long");
	err->number = ETIMEDOUT;
	return -1;
}

static int explain_send(int number, struct err *err)
{
	if (number == EPIPE || number == ECONNRESET) {
		err_set(err, ERR_NETWORK, "the other end of the socket is gone");
		err->number = number;
		return -1;
	}
	return number == ETIMEDOUT ? late(err) : err_set_errno(err, number, "a message cannot be sent");
}

static void attach(struct msghdr *message, union control *control, const int *descriptors, size_t count)
{
	struct cmsghdr *header = &control->align;

	message->msg_control = control->bytes;
	message->msg_controllen = CMSG_SPACE(count * sizeof(int));
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
}

int sock_send(int fd, const void *bytes, size_t length, const int *descriptors, size_t count, struct err *err)
{
	union control control = {.bytes = {0}};
	struct iovec part;
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	size_t sent = 0;

	if (!length || count > SOCK_DESCRIPTORS)
		return err_set(err, ERR_USAGE, "a message has 1 byte or more and at most %d descriptors", SOCK_DESCRIPTORS);
	if (descriptors && count)
		attach(&message, &control, descriptors, count);
	while (sent < length) {
		ssize_t put;

		part = (struct iovec){.iov_base = (char *)(uintptr_t)bytes + sent, .iov_len = length - sent};
		put = sendmsg(fd, &message, MSG_NOSIGNAL);
		if (put < 0 && !again(fd, POLLOUT))
			return explain_send(errno, err);
		if (put <= 0)
			continue;
		sent += (size_t)put;
		message.msg_control = NULL; /* the descriptors went with the first part */
		message.msg_controllen = 0;
	}
	return 0;
}

static void take(struct msghdr *message, int *descriptors, size_t *count)
{
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		size_t got;

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		got = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < got; i++) {
			int descriptor;

			memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof descriptor);
			if (*count < SOCK_DESCRIPTORS)
				descriptors[(*count)++] = descriptor;
			else
				close(descriptor);
		}
	}
}

ssize_t sock_receive(int fd, void *bytes, size_t room, int descriptors[static SOCK_DESCRIPTORS], size_t *count, struct err *err)
{
	union control control = {.bytes = {0}};
	struct iovec part = {.iov_base = bytes, .iov_len = room};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t got;

	*count = 0;
	do {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof control.bytes;
		got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	} while (got < 0 && again(fd, POLLIN));
	if (got < 0 && errno == ECONNRESET)
		return 0;
	if (got < 0)
		return errno == ETIMEDOUT ? late(err) : err_set_errno(err, errno, "a message cannot be received");
	take(&message, descriptors, count);
	if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		while (*count)
			close(descriptors[--*count]);
		return err_set(err, ERR_INPUT, "a message has more than %zu bytes or %d descriptors", room, SOCK_DESCRIPTORS);
	}
	return got;
}
