/*
 * LXD's REST API over its Unix socket: one request, one answer, operations awaited. Blocking, each call with a time limit of
 * its own: in a handler's process, never in a loop.
 * Errors: ERR_NETWORK nobody answers; ERR_TIMEOUT it is too slow; ERR_INPUT it answers nonsense; ERR_NOT_FOUND; ERR_SYSTEM and
 * what LXD says. All of them are trouble of the machine's.
 */
#ifndef BYOCI_SLAVES_LXD_H
#define BYOCI_SLAVES_LXD_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "slaves/lxd/lxd_reply.h"

struct lxd;

/* By the options lxd.socket, lxd.project and lxd.limit. Nothing is asked yet. */
struct lxd *lxd_open(struct arena *arena, const struct conf *conf, struct err *err);
/* By their values. The folder of the socket is held, so that it is found when mounts cover it. */
struct lxd *lxd_open_at(struct arena *arena, const char *socket, const char *project, struct err *err);
void lxd_close(struct lxd *lxd);

/* How long a request may take at most; a minute, or option lxd.limit, unless this is less. */
void lxd_limit(struct lxd *lxd, int64_t limit_ms);

const char *lxd_socket(const struct lxd *lxd);  /* as it was given */
const char *lxd_project(const struct lxd *lxd);
/* Where the socket is for this process, whatever is mounted: a path below /proc/self. */
const char *lxd_path(const struct lxd *lxd);

/* What is at `path` ("/1.0/instances/a"): a new reference. */
json_t *lxd_get(const struct lxd *lxd, const char *path, struct err *err);

/* Makes a request with this body (NULL: none; the reference is taken over) and waits until it is done. */
int lxd_do(const struct lxd *lxd, const char *method, const char *path, json_t *body, struct err *err);

/* Makes a request that begins an operation; release *reply, which *operation borrows from. */
int lxd_begin(const struct lxd *lxd, const char *path, json_t *body, struct lxd_reply *reply, struct lxd_operation *operation,
	struct err *err);

/* Waits up to `limit_ms` for its end; release *reply, which *operation borrows from. A failed one is ERR_SYSTEM. */
int lxd_await(const struct lxd *lxd, const char *id, int64_t limit_ms, struct lxd_reply *reply, struct lxd_operation *operation,
	struct err *err);

/* An image made of this tarball (metadata.yaml and rootfs/); its fingerprint is in the arena. */
char *lxd_import(const struct lxd *lxd, struct arena *arena, const void *bytes, size_t length, struct err *err);

/* The bytes of an image as LXD keeps it go to a descriptor: a tarball, or multipart/form-data with two parts. */
int lxd_export(const struct lxd *lxd, const char *fingerprint, int to, struct err *err);

#endif
