#include "base/sock.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/tap.h"
#include "tests/tmp.h"

static void test_listen(void)
{
	const char *path = tmp_path("s");
	struct err err;
	struct stat st;
	mode_t before = umask(0);
	int fd = sock_listen(path, SOCK_STREAM, &err);
	int second;
	char wanted[600];

	ok(umask(before) == 0, "the umask is as before");
	ok(fd >= 0 && stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 07777) == 0660, "a socket of mode 0660");
	ok(fcntl(fd, F_GETFD) == FD_CLOEXEC && (fcntl(fd, F_GETFL) & O_NONBLOCK), "close-on-exec and non-blocking");
	ok(accept(fd, NULL, NULL) < 0 && errno == EAGAIN, "nobody has connected");
	second = sock_listen(path, SOCK_STREAM, &err);
	snprintf(wanted, sizeof wanted, "%s: something is there already; stop the server that runs, or remove the file", path);
	ok(second < 0 && err.kind == ERR_BUSY, "a second server is refused");
	is(err.text, wanted, "… with what to do");
	ok(sock_listen(path, SOCK_SEQPACKET, &err) < 0 && err.kind == ERR_BUSY, "also one of another type");
	close(fd);
	fd = sock_listen(path, SOCK_SEQPACKET, &err);
	ok(fd >= 0, "a stale file is replaced");
	if (fork() == 0) { /* killed servers leave such children, for as long as they take to execute */
		usleep(300000);
		_exit(0);
	}
	close(fd);
	fd = sock_listen(path, SOCK_SEQPACKET, &err);
	ok(fd >= 0, "so is one that a dead server's child has open still");
	wait(NULL);
	close(fd);
	ok(sock_listen(tmp_text("plain", "x", 0600), SOCK_STREAM, &err) < 0 && err.kind == ERR_BUSY &&
			access(tmp_path("plain"), F_OK) == 0,
		"a file that is no socket is not removed");
	ok(sock_listen(tmp_path("none/s"), SOCK_STREAM, &err) < 0 && err.number == ENOENT, "no folder: an error");
	memset(wanted, 'x', 200);
	wanted[200] = '\0';
	ok(sock_listen(wanted, SOCK_STREAM, &err) < 0 && err.kind == ERR_CONFIG, "a path that is too long is told, not cut");
}

static void test_connect(void)
{
	const char *path = tmp_path("brain");
	struct err err;
	char wanted[700];
	int fd;

	mkdir(path, 0700);
	path = tmp_path("brain/socket");
	snprintf(wanted, sizeof wanted, "%s: nobody is there; start byoci-brain", path);
	ok(sock_connect(path, SOCK_STREAM, &err) < 0 && err.kind == ERR_NETWORK, "nobody there is ERR_NETWORK");
	is(err.text, wanted, "… and what to start");
	fd = sock_listen(path, SOCK_STREAM, &err);
	close(fd);
	ok(sock_connect(path, SOCK_STREAM, &err) < 0 && err.kind == ERR_NETWORK, "nobody behind the file is the same");
}

static void test_peer(void)
{
	const char *path = tmp_path("p");
	struct err err;
	int listener = sock_listen(path, SOCK_STREAM, &err);
	int client = sock_connect(path, SOCK_STREAM, &err);
	int server = accept(listener, NULL, NULL);
	uid_t uid = 99;
	gid_t gid = 99;
	pid_t pid = 0;

	ok(client >= 0 && fcntl(client, F_GETFD) == FD_CLOEXEC && !(fcntl(client, F_GETFL) & O_NONBLOCK),
		"connected: close-on-exec, blocking");
	ok(sock_peer(server, &uid, &gid, &pid, &err) == 0 && uid == geteuid() && gid == getegid() && pid == getpid(),
		"who is at the other end");
	ok(sock_peer(server, NULL, NULL, NULL, &err) == 0, "each may be left out");
	ok(sock_peer(0, &uid, NULL, NULL, &err) < 0, "of what is no socket nothing is known");
	close(server), close(client), close(listener);
}

/* Another user: what counts is who it was when it connected. */
static void test_peer_of_another(void)
{
	const char *path = tmp_path("q");
	struct err err;
	int listener, server, status = 0;
	uid_t uid = 0;
	gid_t gid = 0;
	pid_t pid, peer = 0;

	if (geteuid() != 0) {
		ok(true, "who another user is # SKIP needs root");
		return;
	}
	listener = sock_listen(path, SOCK_SEQPACKET, &err);
	if (chmod(path, 0666) < 0 || chmod(tmp_folder, 0755) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		if (setgid(54321) < 0 || setuid(12345) < 0)
			_exit(1);
		_exit(sock_connect(path, SOCK_SEQPACKET, &err) < 0);
	}
	waitpid(pid, &status, 0);
	server = accept(listener, NULL, NULL);
	ok(status == 0 && sock_peer(server, &uid, &gid, &peer, &err) == 0 && uid == 12345 && gid == 54321 && peer == pid,
		"who another user is");
	close(server);
	chmod(path, 0600);
	pid = fork();
	if (pid == 0) {
		if (setgid(54321) < 0 || setuid(12345) < 0)
			_exit(1);
		_exit(sock_connect(path, SOCK_SEQPACKET, &err) < 0 && err.kind == ERR_REFUSED ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	ok(status == 0, "who may not connect is refused, and told so");
	close(listener);
}

static void test_messages(int type, const char *what)
{
	struct err err;
	int pair[2], received[SOCK_DESCRIPTORS];
	int file = open(tmp_text("f", "content", 0600), O_RDONLY | O_CLOEXEC);
	char bytes[64] = "", text[16] = "";
	size_t count = 99;

	puts(what);
	if (socketpair(AF_UNIX, type, 0, pair) < 0)
		return;
	ok(sock_send(pair[0], "hello", 5, NULL, 0, &err) == 0, "sent");
	ok(sock_receive(pair[1], bytes, sizeof bytes, received, &count, &err) == 5 && count == 0 &&
			memcmp(bytes, "hello", 5) == 0,
		"received");
	ok(sock_send(pair[0], "two", 3, (int[]){file, 1}, 2, &err) == 0, "sent with two descriptors");
	ok(sock_receive(pair[1], bytes, sizeof bytes, received, &count, &err) == 3 && count == 2, "received with them");
	ok(fcntl(received[0], F_GETFD) == FD_CLOEXEC && fcntl(received[1], F_GETFD) == FD_CLOEXEC, "they are close-on-exec");
	ok(read(received[0], text, sizeof text) == 7 && strcmp(text, "content") == 0, "and the right ones");
	close(received[0]), close(received[1]);
	ok(sock_send(pair[0], "x", 1, (int[]){1, 1, 1, 1, 1}, 5, &err) < 0 && err.kind == ERR_USAGE, "five are refused");
	ok(sock_send(pair[0], "", 0, NULL, 0, &err) < 0 && err.kind == ERR_USAGE,
		"so is an empty message, which would look like the end");
	close(pair[0]);
	ok(sock_receive(pair[1], bytes, sizeof bytes, received, &count, &err) == 0 && count == 0, "the end is 0");
	ok(sock_send(pair[1], "x", 1, NULL, 0, &err) < 0 && err.kind == ERR_NETWORK,
		"sending to nobody is an error, not a signal");
	close(pair[1]);
	close(file);
}

static int lowest(void)
{
	int fd = fcntl(0, F_DUPFD_CLOEXEC, 3);

	close(fd);
	return fd;
}

/* More bytes than there is room for, more descriptors than are allowed: refused, and nothing is left open. */
static void test_too_much(void)
{
	struct err err;
	int pair[2], received[SOCK_DESCRIPTORS], before;
	int six[6] = {0, 0, 0, 0, 0, 0};
	char bytes[8], control[CMSG_SPACE(sizeof six)];
	struct iovec part = {.iov_base = bytes, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *header;
	size_t count = 0;

	memset(control, 0, sizeof control);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return;
	before = lowest();
	ok(sock_send(pair[0], "123456789", 9, (int[]){0}, 1, &err) == 0 &&
			sock_receive(pair[1], bytes, sizeof bytes, received, &count, &err) < 0 && err.kind == ERR_INPUT &&
			count == 0,
		"a message that is too long is refused, not cut");
	ok(lowest() == before, "its descriptor is closed");
	header = CMSG_FIRSTHDR(&message);
	*header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof six)};
	memcpy(CMSG_DATA(header), six, sizeof six);
	ok(sendmsg(pair[0], &message, 0) == 1 && sock_receive(pair[1], bytes, sizeof bytes, received, &count, &err) < 0 &&
			err.kind == ERR_INPUT && count == 0,
		"so is one with too many descriptors");
	ok(lowest() == before, "they are closed");
	close(pair[0]), close(pair[1]);
}

/* A stream takes a large message in parts, and waits when the other end is slow. */
static void test_large(void)
{
	struct err err;
	int pair[2], received[SOCK_DESCRIPTORS], status = 0;
	size_t size = 4000000, done = 0, count = 0, files = 0;
	char *bytes = calloc(1, size);
	ssize_t got = 1;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
		return;
	pid = fork();
	if (pid == 0)
		_exit(sock_send(pair[0], bytes, size, (int[]){0}, 1, &err) < 0);
	close(pair[0]);
	while (got > 0) {
		got = sock_receive(pair[1], bytes, size, received, &count, &err);
		done += got > 0 ? (size_t)got : 0;
		files += count;
		while (count)
			close(received[--count]);
	}
	waitpid(pid, &status, 0);
	ok(status == 0 && got == 0 && done == size, "4 MB in parts, also on a non-blocking socket");
	ok(files == 1, "its descriptor comes once");
	close(pair[1]);
	free(bytes);
}

/* A limit that somebody has set ends the waiting, in both directions. */
static void test_limits(void)
{
	const struct timeval limit = {.tv_usec = 50000};
	int pair[2], received[SOCK_DESCRIPTORS];
	static char bytes[4000000];
	struct err err = {0};
	size_t count;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return;
	alarm(TAP_LIMIT_S); /* instead of for ever */
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	ok(sock_receive(pair[0], bytes, sizeof bytes, received, &count, &err) < 0 && err.kind == ERR_TIMEOUT && err.number == ETIMEDOUT,
		"who says nothing is not waited for for ever");
	err_clear(&err);
	ok(sock_send(pair[0], bytes, sizeof bytes, NULL, 0, &err) < 0 && err.kind == ERR_TIMEOUT, "nor is who takes nothing");
	alarm(0);
	close(pair[0]), close(pair[1]);
}

/* The way of sd_listen_fds(3): descriptors from 3 on. A program of its own, because the numbers are fixed. */
static void test_handed_over(void)
{
	const char *path = tmp_path("h");
	struct err err;
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = sock_listen(path, SOCK_STREAM, &err);
		char number[32];

		if (fd < 0 || dup2(fd, 4) < 0 || dup2(0, 3) < 0 || fcntl(4, F_SETFL, 0) < 0)
			_exit(1);
		snprintf(number, sizeof number, "%d", (int)getpid());
		setenv("LISTEN_PID", number, 1);
		setenv("LISTEN_FDS", "2", 1);
		if (sock_listen(path, SOCK_STREAM, &err) != 4 || fcntl(4, F_GETFD) != FD_CLOEXEC ||
			!(fcntl(4, F_GETFL) & O_NONBLOCK))
			_exit(2);
		if (sock_listen(path, SOCK_SEQPACKET, &err) >= 0 || sock_listen(tmp_path("other"), SOCK_STREAM, &err) == 4)
			_exit(3);
		setenv("LISTEN_PID", "1", 1);
		_exit(sock_listen(path, SOCK_STREAM, &err) >= 0 ? 4 : 0);
	}
	waitpid(pid, &status, 0);
	ok(status == 0, "a socket that was handed over is used, for its path, its type and its process only");
}

int main(void)
{
	tmp_make();
	test_listen();
	test_connect();
	test_peer();
	test_peer_of_another();
	test_messages(SOCK_STREAM, "# stream");
	test_messages(SOCK_SEQPACKET, "# packets");
	test_too_much();
	test_large();
	test_limits();
	test_handed_over();
	return tap_done();
}
