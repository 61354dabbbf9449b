/*
 * Kinds of containers that a worker can be: option `workers` of its [backing/NAME]. What a worker is besides (slot, job section,
 * expiry, order of steps) is worker.c's and knows no kind. Calls block, for milliseconds unless something is wrong; those that
 * a foreign daemon answers have a limit of their own.
 *
 * A kind's struct begins with `struct cage`. The process that holds one is the first of its own process namespace and has no
 * other (handler.h): what it starts by itself ends with it; whatever else a kind makes must be named in `traces`.
 */
#ifndef BYOCI_SLAVES_CAGE_H
#define BYOCI_SLAVES_CAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "slaves/confine/rootfs.h"

#define CAGE_TEXT_SIZE 512
#define CAGE_KILLED 137 /* status of a command that `stop` ended: 128 + SIGKILL */

struct cage {
	const struct cage_kind *kind;
};

struct cage_want {
	const struct conf *conf;
	const char *job;     /* [job/NAME]: a kind reads from it what only it knows; NULL: none, and no network (a backing is tried) */
	const char *backing; /* [backing/NAME] */
	int root;            /* descriptor of its root file system, open until the cage is removed; -1: the kind is bare */
	const char *digest;  /* of the backing */
	const char *name;    /* "byoci-NAMESPACE-SLOT": of the container, its groups, its network */
	unsigned slot;
	int64_t ids;         /* first of ROOTFS_IDS host ids */
	int64_t memory, processes, disk; /* bytes, number, bytes */
	int64_t cpus;        /* 0: all */
	const struct rootfs_fill *fill; /* what is on its disk at first; NULL: nothing */
	struct blank *blank; /* a container for any job, to be used in place of a new one: blank_suits() said that it can; NULL: none */
};

struct cage_layer {
	int folder; /* its folder `workspace` becomes ROOTFS_WORKSPACE */
	uid_t owner; /* whose files belong to root inside; others' belong to nobody */
	gid_t group;
	int mounts; /* mount namespace of who opened it; -1: ours */
	const char *build; /* that it is of */
};

struct cage_program {
	const char *const *argv; /* NULL-ended; argv[0] is a path inside */
	int in, out, errors;     /* its descriptors 0, 1 and 2; `in` -1: /dev/null; a terminal becomes its controlling one */
};

struct cage_kind {
	const char *name; /* as the option has it */
	bool bare;        /* it has no root file system but the host's, so that there is no backing to build */

	/*
	 * What a container of that name may leave when its holder is killed, as words for `reap`; NULL-ended, in the arena. They
	 * are on record before it is started. NULL and err when this machine can't have this kind. `conf` may be NULL.
	 */
	const char *const *(*traces)(struct arena *arena, const struct conf *conf, const char *namespace, const char *name, struct err *err);

	/* Removes them, those that are there, and returns when they are gone; ERR_TIMEOUT with what stays. */
	int (*reap)(struct arena *arena, const char *const *traces, struct err *err);

	/* Removes what no record tells of, if there can be such a thing: NULL. Called when byoci-worker starts, and now and then. */
	int (*sweep)(struct arena *arena, const struct conf *conf, struct err *err);

	/*
	 * A running container without a tree. Every limit holds, or it does not start. On failure nothing of it is left but what
	 * `reap` removes.
	 */
	struct cage *(*start)(struct arena *arena, const struct cage_want *want, struct err *err);

	/* Puts a layer's tree into ROOTFS_WORKSPACE, where root inside owns it; the layer itself is never written to. Once. */
	int (*place)(struct cage *cage, const struct cage_layer *layer, struct err *err);

	/*
	 * Its mounts, for setns(2), between `place` and `exec`: borrowed. NULL: a kind that has none of its own, and so can't have
	 * what is for a worker alone.
	 */
	int (*mounts)(const struct cage *cage);

	/*
	 * Begins a program in ROOTFS_WORKSPACE as root inside, without any descriptor or variable of ours but these. Once after `start`,
	 * and once after each `again`.
	 */
	int (*exec)(struct cage *cage, const struct cage_program *program, struct err *err);

	/* Readable when something may have happened to the program; -1 while there is none. Borrowed. */
	int (*fd)(const struct cage *cage);

	/*
	 * 1, once, when the program has ended: its exit status (128 + n for signal n) and, in `text`, the limits that were hit.
	 * Then nothing runs in it any more, and its files are still there. 0: not yet. -1, once: what became of it can't be known.
	 */
	int (*ended)(struct cage *cage, int *status, char text[static CAGE_TEXT_SIZE], struct err *err);

	/* Kills everything in it; its files are still there. `ended` tells of a program that was running. Again is fine. */
	int (*stop)(struct cage *cage, struct err *err);

	/* Whether one that waits for its tree is still as it was started. */
	int (*check)(struct cage *cage, struct err *err);

	/*
	 * A descriptor (O_PATH) of its root folder, after `ended` or `stop`; the caller closes it. What is in there is the test's:
	 * never follow a link of it.
	 */
	int (*root)(const struct cage *cage, struct err *err);

	/*
	 * For one that is kept, after `ended` or `stop`: what its disk does not need goes. NULL: this kind can't keep any. Then
	 * `again` starts it on its disk, as it left it, and `ended` or `stop` end that.
	 */
	int (*keep)(struct cage *cage, struct err *err);
	int (*again)(struct cage *cage, struct err *err);

	/* A new terminal of the container's own, which runs: returns its master, and its inner end in *inside. */
	int (*terminal)(struct cage *cage, int *inside, struct err *err);

	/* All of it goes, and that is verified. `cage` can't be used any more, also on failure: then `reap` has to do the rest. */
	int (*remove)(struct cage *cage, struct err *err);
};

/* By the word of the option; NULL and ERR_CONFIG when this program has no such kind. */
const struct cage_kind *cage_kind(const char *name, struct err *err);

/* Every kind's sweep. */
int cage_sweep(const struct conf *conf, struct err *err);

/* What any kind may have left for that name, where it is not known which it was. */
int cage_reap_any(struct arena *arena, const char *namespace, const char *name, struct err *err);

#endif
