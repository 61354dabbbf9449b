/*
 * What LXD answers, read strictly: the envelope of each reply, operations, and where the streams of a command are found
 * (LXD's doc/rest-api.md). Functions of bytes; nothing is asked here.
 */
#ifndef BYOCI_SLAVES_LXD_REPLY_H
#define BYOCI_SLAVES_LXD_REPLY_H

#include <jansson.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define LXD_REPLY_ID_SIZE 37 /* a UUID and a NUL */
#define LXD_REPLY_SECRET_SIZE 129

enum lxd_reply_type {
	LXD_REPLY_SYNC,  /* `metadata` is what was asked for */
	LXD_REPLY_ASYNC, /* `metadata` is an operation that goes on */
	LXD_REPLY_ERROR  /* `code` and `error` say why */
};

struct lxd_reply {
	enum lxd_reply_type type;
	int64_t code;      /* of an error: as HTTP's */
	const char *error; /* LXD's words, borrowed from `json` */
	json_t *metadata;  /* borrowed from `json`; null when there is none */
	json_t *json;
};

/* ERR_INPUT when the bytes are not a reply of LXD's. */
int lxd_reply_parse(const void *bytes, size_t length, struct lxd_reply *reply, struct err *err);
void lxd_reply_release(struct lxd_reply *reply);

enum lxd_reply_state {
	LXD_REPLY_RUNNING,
	LXD_REPLY_DONE,
	LXD_REPLY_FAILED /* cancelled ones too */
};

struct lxd_operation {
	char id[LXD_REPLY_ID_SIZE];
	enum lxd_reply_state state;
	const char *error;      /* of a failed one; borrowed, never NULL */
	const json_t *metadata; /* an object, or null; borrowed */
};

int lxd_reply_operation(const json_t *metadata, struct lxd_operation *operation, struct err *err);

/* What an operation needs that runs a command: the secrets of its four streams. */
enum lxd_reply_stream {
	LXD_REPLY_IN,
	LXD_REPLY_OUT,
	LXD_REPLY_ERRORS,
	LXD_REPLY_CONTROL,
	LXD_REPLY_STREAMS /* how many there are */
};
int lxd_reply_streams(const struct lxd_operation *operation,
	char secrets[LXD_REPLY_STREAMS][LXD_REPLY_SECRET_SIZE], struct err *err);

/* The exit status of a command whose operation is done: 0 … 255. */
int lxd_reply_status(const struct lxd_operation *operation, int *status, struct err *err);

#endif
