/*
 * What goes over the worker socket (SOCK_SEQPACKET, one struct a packet, same machine: native byte order).
 * One connection is one worker: when it closes, everything of it is torn down.
 *
 * A caller names a backing or a job, a build, and hands descriptors over. It gives no path, no command and no
 * setting of the container: those are read from the root-owned section of that name.
 *
 *   operation      section  build, digest  descriptors            reply
 *   BUILD_BACKING  backing  -              [0] progress lines     text = digest of the backing
 *   REFRESH_BACKING backing -              [0] progress lines     text = digest: there is a new generation of it (backing.h)
 *   LIST_BACKINGS  -        -              [0] JSON goes there    backing_list.h
 *   PRUNE_BACKINGS -        -              [0] progress lines     what nobody needs is gone (backing_prune.h)
 *   READY          job      digest         -                      text = digest of the backing, slot: a container without a tree
 *   ATTACH         job      both           [0] layer folder       the tree is in it
 *   START          job      both           [0] layer folder       as READY's: both in one
 *   REAP           -        -              -                      status = workers whose leftovers were removed; error: what stays
 *   DISCARD        -        build          -                      when nothing of that kept worker is left
 *   SHELL          -        build          [0] in [1] out [2] err when a shell runs in that kept worker; then as EXEC
 *   TERMINAL       -        build          -                      the same on a terminal of its own, whose master comes with it
 *   COPY           -        build          -                      when there is a running copy of that kept worker; slot
 *   CHECK          -        -              -                      when what waits for its tree or its command is well
 *   EXEC           job      build          [0] stdout [1] stderr  status, when the command has ended; text = limits that were hit
 *   SECRETS        project  build          -                      status = how many of them are in the worker now
 *   COLLECT        job      build          [0] files [1] notes    when all was written
 *   STOP           -        build, if any  -                      at once; EXEC then replies with 137
 *   KEEP           -        build          -                      when it is kept, stopped; text = until when, for people
 *   REMOVE         -        build, if any  -                      when nothing of the worker is left
 *
 * The layer folder (O_RDONLY or O_PATH, with O_DIRECTORY) belongs to the caller; its folder `workspace` is put on
 * /workspace and belongs to root in there. It must not change meanwhile.
 * stdout and stderr are writing ends of pipes. They are closed when EXEC replies: nothing runs in the worker any more.
 * SECRETS, before EXEC and once: the job must be one of the project's, and who asks vouches for it that the build was approved.
 * COLLECT, after the command's end: files and notes are writing ends of pipes; what comes out is in slaves/worker/collect.h.
 * Each request has one reply with the same `operation`; EXEC's may come after those of later requests.
 * A packet that is not a valid request is answered with WORKER_INVALID, and the connection is closed; so it is after a READY,
 * ATTACH or START that failed. A connection is for no build until ATTACH or START; the job must be the same all the time, and
 * configured here as its digest says.
 *
 * REAP ends its connection. KEEP's `number` is for how many seconds, 0 as long as may be; the connection can then be closed.
 * DISCARD, SHELL and TERMINAL are asked on a connection of their own, by anybody who may ask for workers, and by root; `in` is the
 * reading end of a pipe. The shell ends with the connection, and has two replies: when it has begun, and EXEC's when it has ended.
 *
 * COPY, too, is asked on a connection of its own: the copy, without its secrets, belongs to it, and goes with it, after `number` seconds
 * (0: as long as kept ones may be), or when the one SHELL or TERMINAL has ended that is then asked for on it.
 *
 * The connection may be handed from one process to another of the same user. The mounts in which a layer is found are those of
 * the process that made it.
 */
#ifndef BYOCI_SLAVES_WORKER_WIRE_H
#define BYOCI_SLAVES_WORKER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define WORKER_VERSION 2
#define WORKER_BUILD_SIZE 33   /* 32 lower-case hex digits and a NUL */
#define WORKER_SECTION_SIZE 64 /* [a-z0-9][a-z0-9._-]* without "..", and a NUL */
#define WORKER_DIGEST_SIZE 65  /* 64 lower-case hex digits and a NUL */
#define WORKER_TEXT_SIZE 512
#define WORKER_KILLED 137 /* status of a command that STOP ended: 128 + SIGKILL */

enum worker_operation {
	WORKER_BUILD_BACKING = 1,
	WORKER_START,
	WORKER_EXEC,
	WORKER_STOP,
	WORKER_REMOVE,
	WORKER_READY,
	WORKER_ATTACH,
	WORKER_CHECK,
	WORKER_COLLECT,
	WORKER_REAP,
	WORKER_REFRESH_BACKING,
	WORKER_LIST_BACKINGS,
	WORKER_PRUNE_BACKINGS,
	WORKER_SECRETS,
	WORKER_KEEP,
	WORKER_DISCARD,
	WORKER_SHELL,
	WORKER_TERMINAL,
	WORKER_COPY,
	WORKER_OPERATIONS /* how many there are, and one */
};

enum worker_error {
	WORKER_OK = 0,
	WORKER_INVALID,  /* not a request, or not one that can be made now */
	WORKER_REFUSED,  /* this caller may not, or the digest is another one here */
	WORKER_BUSY,     /* every slot is taken: try again later */
	WORKER_ABSENT,   /* no such section, or its backing is not built */
	WORKER_TROUBLE   /* the machine's fault: `text` says what */
};

/* Every byte that is not used is zero, so that nothing of the sender's memory travels. */
struct worker_request {
	uint32_t version; /* WORKER_VERSION */
	uint32_t operation;
	char build[WORKER_BUILD_SIZE];
	char section[WORKER_SECTION_SIZE];
	char digest[WORKER_DIGEST_SIZE];
	char unused[2];
	uint32_t number; /* of KEEP and COPY; else 0 */
};

struct worker_reply {
	uint32_t version;
	uint32_t operation; /* of the request */
	int32_t error;      /* enum worker_error */
	int32_t status;     /* of EXEC: exit status, 128 + n when signal n ended it */
	uint32_t slot;
	char text[WORKER_TEXT_SIZE]; /* for people, but where the table above says more; always ended by a NUL */
};

_Static_assert(sizeof(struct worker_request) == 176, "no padding in a request");
_Static_assert(sizeof(struct worker_reply) == 532, "no padding in a reply");

/* Makes a request with every byte set; a NULL text is "". ERR_INPUT when one does not fit. */
int worker_wire_request(struct worker_request *request, enum worker_operation operation, const char *build, const char *section,
	const char *digest, struct err *err);

/*
 * Whether these bytes and this number of descriptors are a request: everything that can be said without state. ERR_INPUT
 * otherwise.
 */
int worker_wire_check(const void *bytes, size_t length, size_t descriptors, struct worker_request *request, struct err *err);

/* How many descriptors an operation needs; its name for people ("?" for none). */
size_t worker_wire_descriptors(enum worker_operation operation);
bool worker_wire_builds(enum worker_operation operation); /* whether it may name a build */
const char *worker_wire_name(uint32_t operation);

/* The kind of error that a caller sees, and the other way round. */
enum err_kind worker_wire_kind(int32_t error);
enum worker_error worker_wire_error(enum err_kind kind);

#endif
