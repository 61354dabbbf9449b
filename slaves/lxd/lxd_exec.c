#include "slaves/lxd/lxd_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK 65536
#define CONNECT_LIMIT_S 20
#define SILENCE_PING_S 20   /* of the control stream */
#define SILENCE_LIMIT_S 80  /* LXD answers no ping */
#define DRAIN_LIMIT_MS 60000 /* for the rest of the output, when the command has ended */
#define DESCRIPTORS_MAXIMUM 64

/* What the three processes share. */
struct shared {
	struct lxd_exec_end end; /* first */
	struct err streams;      /* of the copying */
	struct err operation;    /* of the waiting */
	int status;
};

struct stream {
	struct pump *pump;
	struct lws *socket;
	int fd; /* what comes is written to it; -1: nowhere */
	bool over, ended_input;
};

struct pump {
	struct lws_context *context;
	struct stream streams[LXD_REPLY_STREAMS];
	struct lws *input; /* the descriptor of standard input, when it is read; NULL */
	int in;            /* the same; -1: none, or it has ended */
	size_t held;       /* bytes of it that are not sent yet */
	unsigned char bytes[LWS_PRE + CHUNK];
	lws_sorted_usec_list_t patience; /* with a command that nobody tells the end of */
	struct err *err;
};

static struct lws_context *awake; /* for the signal */
static volatile sig_atomic_t ended; /* the command has: what is left are its last lines */

static int on_event(struct lws *socket, enum lws_callback_reasons reason, void *user, void *in, size_t length);
static const struct lws_protocols protocols[] = {
	{.name = "exec", .callback = on_event, .rx_buffer_size = CHUNK},
	{.name = NULL},
};

static int fail(struct pump *pump, const char *text, size_t length)
{
	if (pump->err->kind == ERR_NONE)
		err_set(pump->err, ERR_NETWORK, "LXD: the streams of the command: %.*s", (int)length, text);
	return -1;
}

/* Nobody reading any more is no reason to end the command. */
static int copy(struct stream *stream, const char *bytes, size_t length)
{
	while (length && stream->fd >= 0) {
		struct pollfd wait = {.fd = stream->fd, .events = POLLOUT};
		ssize_t put = write(stream->fd, bytes, length);

		if (put < 0 && errno == EAGAIN) {
			poll(&wait, 1, -1);
		} else if (put < 0 && errno != EINTR) {
			stream->fd = -1;
		} else if (put > 0) {
			bytes += put;
			length -= (size_t)put;
		}
	}
	return 0;
}

/* An empty text says that there is no more of a stream; data is binary. */
static int receive(struct stream *stream, const char *bytes, size_t length)
{
	if (!lws_frame_is_binary(stream->socket)) {
		stream->over = true;
		return 0;
	}
	return copy(stream, bytes, length);
}

/* Reads further bytes, which are sent before others are read. -1: there are no more. */
static int read_input(struct stream *stream)
{
	struct pump *pump = stream->pump;
	ssize_t got = pump->in < 0 ? 0 : read(pump->in, pump->bytes + LWS_PRE, CHUNK);

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (stream->socket)
		lws_callback_on_writable(stream->socket);
	if (got > 0) {
		pump->held = (size_t)got;
		return pump->input ? lws_rx_flow_control(pump->input, 0) : 0;
	}
	if (pump->in >= 0)
		close(pump->in);
	pump->in = -1;
	return -1;
}

/* What was read is sent; at last that there is no more. */
static int send_input(struct stream *stream)
{
	struct pump *pump = stream->pump;
	size_t length = pump->held;

	if (length) {
		pump->held = 0;
		if (lws_write(stream->socket, pump->bytes + LWS_PRE, length, LWS_WRITE_BINARY) < (int)length)
			return -1;
		if (pump->input)
			return lws_rx_flow_control(pump->input, 1);
		lws_callback_on_writable(stream->socket);
		return 0;
	}
	if (pump->in >= 0 && !pump->input) { /* its writer is gone, and libwebsockets watches it no more: there may be a rest */
		read_input(stream);
		return 0;
	}
	if (pump->in >= 0 || stream->ended_input)
		return 0;
	stream->ended_input = true;
	return lws_write(stream->socket, pump->bytes + LWS_PRE, 0, LWS_WRITE_TEXT) < 0 ? -1 : 0;
}

static void begin_input(struct stream *stream)
{
	struct pump *pump = stream->pump;
	const lws_sock_file_fd_type file = {.filefd = pump->in < 0 ? -1 : fcntl(pump->in, F_DUPFD_CLOEXEC, 0)};

	if (file.filefd >= 0)
		pump->input = lws_adopt_descriptor_vhost(
			lws_get_vhost(stream->socket), LWS_ADOPT_RAW_FILE_DESC, file, protocols[0].name, NULL);
	if (pump->input)
		lws_set_wsi_user(pump->input, stream);
	else
		pump->in = -1;
	lws_callback_on_writable(stream->socket);
}

static void on_silence(lws_sorted_usec_list_t *timer)
{
	struct pump *pump = lws_container_of(timer, struct pump, patience);

	if (!ended)
		fail(pump, "LXD answers no more", 19);
}

/*
 * The control stream is the one on which LXD answers pings for as long as the command runs. It closes it when the command has
 * ended, or we do when there was no answer.
 */
static int closed(struct stream *stream)
{
	struct pump *pump = stream->pump;

	stream->over = true;
	stream->socket = NULL;
	if (stream == &pump->streams[LXD_REPLY_CONTROL])
		lws_sul_schedule(pump->context, 0, &pump->patience, on_silence, (lws_usec_t)DRAIN_LIMIT_MS * 1000);
	return 0;
}

static int on_event(struct lws *socket, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
	struct stream *stream = user;

	switch ((int)reason) {
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		closed(stream);
		return fail(stream->pump, in ? in : "no connection", in ? strlen(in) : 13);
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		stream->socket = socket;
		if (stream == &stream->pump->streams[LXD_REPLY_IN])
			begin_input(stream);
		return 0;
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return stream == &stream->pump->streams[LXD_REPLY_IN] ? send_input(stream) : 0;
	case LWS_CALLBACK_RAW_RX_FILE:
		return read_input(stream);
	case LWS_CALLBACK_RAW_CLOSE_FILE:
		stream->pump->input = NULL;
		if (stream->socket)
			lws_callback_on_writable(stream->socket);
		return 0;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		return receive(stream, in, length);
	case LWS_CALLBACK_CLIENT_CLOSED:
		return closed(stream);
	default:
		return 0;
	}
}

static int connect_stream(struct pump *pump, const struct lxd *lxd, const char *id, const char *secret, struct stream *stream)
{
	static const lws_retry_bo_t patience = {
		.secs_since_valid_ping = SILENCE_PING_S, .secs_since_valid_hangup = SILENCE_LIMIT_S};
	struct arena *arena = arena_new();
	const struct lws_client_connect_info info = {
		.context = pump->context,
		.address = arena_printf(arena, "+%s", lxd_path(lxd)),
		.path = arena_printf(arena, "/1.0/operations/%s/websocket?project=%s&secret=%s", id, lxd_project(lxd), secret),
		.host = "lxd",
		.port = 80,
		.local_protocol_name = protocols[0].name,
		.ietf_version_or_minus_one = -1,
		.userdata = stream,
		.retry_and_idle_policy = &patience,
	};
	const struct lws *socket;

	stream->pump = pump;
	socket = lws_client_connect_via_info(&info);
	arena_free(arena);
	if (!socket && pump->err->kind == ERR_NONE)
		return fail(pump, "no connection", 13);
	return socket ? 0 : -1;
}

static bool done(const struct pump *pump)
{
	const struct stream *streams = pump->streams;

	return streams[LXD_REPLY_OUT].over && streams[LXD_REPLY_ERRORS].over && (ended || streams[LXD_REPLY_CONTROL].over);
}

static void on_ended(int number)
{
	(void)number;
	ended = 1;
	if (awake)
		lws_cancel_service(awake);
}

static void pump_run(struct pump *pump, const struct lxd *lxd, const char *id, char secrets[][LXD_REPLY_SECRET_SIZE])
{
	const struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.protocols = protocols,
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.timeout_secs = CONNECT_LIMIT_S,
		.fd_limit_per_thread = DESCRIPTORS_MAXIMUM,
	};

	lws_set_log_level(0, NULL);
	pump->context = lws_create_context(&info);
	if (!pump->context) {
		err_set(pump->err, ERR_SYSTEM, "libwebsockets does not start");
		return;
	}
	awake = pump->context;
	for (int i = 0; i < LXD_REPLY_STREAMS; i++)
		if (connect_stream(pump, lxd, id, secrets[i], &pump->streams[i]) < 0)
			break;
	while (pump->err->kind == ERR_NONE && !done(pump))
		if (lws_service(pump->context, 0) < 0)
			fail(pump, "lws_service", 11);
	awake = NULL;
	lws_context_destroy(pump->context);
}

/* A child that ends with this process. */
static pid_t helper(struct err *err)
{
	pid_t parent = getpid(), pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		signal(SIGPIPE, SIG_IGN);
	}
	if (pid < 0)
		return err_set_errno(err, errno, "LXD: no process for a command");
	return pid;
}

static void close_ends(const struct lxd_exec *exec)
{
	const int ends[] = {exec->in, exec->out, exec->errors};

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (ends[i] >= 0)
			close(ends[i]);
}

static pid_t start_pump(const struct lxd_exec *exec, const char *id, char secrets[][LXD_REPLY_SECRET_SIZE], struct shared *shared,
	struct err *err)
{
	static struct pump pump;
	pid_t pid;

	signal(SIGUSR1, on_ended); /* before it can be sent */
	pid = helper(err);
	if (pid != 0)
		return pid;
	pump = (struct pump){.err = &shared->streams, .in = exec->in};
	for (int i = 0; i < LXD_REPLY_STREAMS; i++)
		pump.streams[i].fd = -1;
	pump.streams[LXD_REPLY_OUT].fd = exec->out;
	pump.streams[LXD_REPLY_ERRORS].fd = exec->errors;
	pump_run(&pump, exec->lxd, id, secrets);
	_exit(0);
}

static pid_t start_waiter(const struct lxd_exec *exec, const char *id, struct shared *shared, struct err *err)
{
	struct lxd_operation operation;
	struct lxd_reply reply;
	pid_t pid = helper(err);

	if (pid != 0)
		return pid;
	close_ends(exec);
	shared->status = -1;
	if (lxd_await(exec->lxd, id, exec->limit_ms, &reply, &operation, &shared->operation) == 0 &&
		lxd_reply_status(&operation, &shared->status, &shared->operation) < 0)
		err_wrap(&shared->operation, "LXD: the end of the command");
	_exit(0);
}

/* What is known when both have ended: that the streams were lost matters, whatever the command's status is. */
static void conclude(struct shared *shared)
{
	if (shared->operation.kind != ERR_NONE)
		shared->end.err = shared->operation;
	else if (shared->streams.kind != ERR_NONE)
		shared->end.err = shared->streams;
	else if (shared->status < 0)
		err_set(&shared->end.err, ERR_SYSTEM, "LXD: a process that waited for the command died");
	else
		shared->end = (struct lxd_exec_end){.status = shared->status};
}

static void put_away(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* 1 when it has ended within that time. */
static int ends_within(pid_t pid, int64_t limit_ms)
{
	struct pollfd end = {.fd = pidfd_open(pid, 0), .events = POLLIN};
	int rc = poll(&end, 1, limit_ms > INT32_MAX ? INT32_MAX : (int)limit_ms);

	if (end.fd >= 0)
		close(end.fd);
	return rc;
}

/* Both are waited for: the operation's end comes before the rest of its output, and streams that broke are an end too. */
static void see_to(const struct lxd_exec *exec, const char *id, char secrets[][LXD_REPLY_SECRET_SIZE], struct shared *shared)
{
	pid_t pump = start_pump(exec, id, secrets, shared, &shared->streams);
	pid_t waiter = pump < 0 ? -1 : start_waiter(exec, id, shared, &shared->operation);
	int status;

	close_ends(exec);
	if (waiter > 0 && wait(&status) == pump) {
		pump = -1;
		ends_within(waiter, shared->streams.kind == ERR_NONE ? DRAIN_LIMIT_MS : 0);
	} else if (waiter > 0) {
		waiter = -1;
		kill(pump, SIGUSR1);
		ends_within(pump, DRAIN_LIMIT_MS);
	}
	put_away(pump);
	put_away(waiter);
	conclude(shared);
}

static json_t *environment_of(const struct lxd_exec *exec)
{
	json_t *environment = json_pack("{s:s, s:s, s:s, s:s}", "PATH",
		"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME", "/root", "LANG", "C.UTF-8", "CI", "true");

	for (const char *const *variable = exec->environment; *variable; variable++) {
		size_t length = strcspn(*variable, "=");

		json_object_setn_new(environment, *variable, length, json_string(*variable + length + ((*variable)[length] == '=')));
	}
	return environment;
}

static json_t *body_of(const struct lxd_exec *exec)
{
	json_t *argv = json_array();

	for (const char *const *word = exec->argv; *word; word++)
		json_array_append_new(argv, json_string(*word));
	return json_pack("{s:o, s:b, s:b, s:b, s:s, s:i, s:i, s:o}", "command", argv, "wait-for-websocket", 1, "interactive", 0,
		"record-output", 0, "cwd", exec->folder, "user", 0, "group", 0, "environment", environment_of(exec));
}

static struct shared *share(struct err *err)
{
	struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (shared == MAP_FAILED) {
		err_set_errno(err, errno, "LXD: no memory for a command");
		return NULL;
	}
	err_set(&shared->end.err, ERR_SYSTEM, "LXD: the process that waited for the command was killed");
	return shared;
}

static pid_t start_child(const struct lxd_exec *exec, const char *id, char secrets[][LXD_REPLY_SECRET_SIZE],
	struct shared *shared, struct err *err)
{
	pid_t child = helper(err);

	if (child != 0)
		return child;
	see_to(exec, id, secrets, shared);
	_exit(0);
}

int lxd_exec_start(const struct lxd_exec *exec, pid_t *pid, const struct lxd_exec_end **end, struct err *err)
{
	struct arena *arena = arena_new();
	const char *path = arena_printf(arena, "/1.0/instances/%s/exec", exec->instance);
	char secrets[LXD_REPLY_STREAMS][LXD_REPLY_SECRET_SIZE];
	struct lxd_operation operation;
	struct shared *shared = share(err);
	struct lxd_reply reply;
	pid_t child = -1;

	if (shared && lxd_begin(exec->lxd, path, body_of(exec), &reply, &operation, err) == 0) {
		if (lxd_reply_streams(&operation, secrets, err) < 0)
			err_wrap(err, "LXD: a command");
		else
			child = start_child(exec, operation.id, secrets, shared, err);
		lxd_reply_release(&reply);
	}
	arena_free(arena);
	if (child < 0) {
		lxd_exec_free(shared ? &shared->end : NULL);
		return -1;
	}
	*pid = child;
	*end = &shared->end;
	return 0;
}

void lxd_exec_free(const struct lxd_exec_end *end)
{
	if (end)
		munmap((void *)(uintptr_t)end, sizeof(struct shared));
}
