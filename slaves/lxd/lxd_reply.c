#include "slaves/lxd/lxd_reply.h"

#include <string.h>

#include "base/jsonget.h"

#define NODES_MAXIMUM 200000
#define CODE_DONE 200 /* below: it goes on; from 400 on: it failed */
#define CODE_FAILED 400
#define CODE_END 600

static const struct type {
	const char *name;
	enum lxd_reply_type type;
} types[] = {
	{"sync", LXD_REPLY_SYNC},
	{"async", LXD_REPLY_ASYNC},
	{"error", LXD_REPLY_ERROR},
};

static int read_error(struct lxd_reply *reply, struct err *err)
{
	if (jsonget_string(reply->json, "error", &reply->error, err) < 0 ||
		jsonget_integer(reply->json, "error_code", &reply->code, err) < 0)
		return -1;
	if (reply->code < CODE_FAILED || reply->code >= CODE_END)
		return err_set(err, ERR_INPUT, "error_code: %lld is no error", (long long)reply->code);
	return 0;
}

static int read_envelope(struct lxd_reply *reply, struct err *err)
{
	const char *name;

	if (jsonget_string(reply->json, "type", &name, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		if (strcmp(types[i].name, name) != 0)
			continue;
		reply->type = types[i].type;
		if (reply->type == LXD_REPLY_ERROR)
			return read_error(reply, err);
		reply->metadata = json_object_get(reply->json, "metadata");
		if (!reply->metadata || (reply->type == LXD_REPLY_ASYNC && !json_is_object(reply->metadata)))
			return err_set(err, ERR_INPUT, "metadata: missing");
		return 0;
	}
	return err_set(err, ERR_INPUT, "type: must be sync, async or error");
}

int lxd_reply_parse(const void *bytes, size_t length, struct lxd_reply *reply, struct err *err)
{
	*reply = (struct lxd_reply){.json = jsonget_parse(bytes, length, NODES_MAXIMUM, err)};
	if (!reply->json)
		return -1;
	if (json_is_object(reply->json) ? read_envelope(reply, err) == 0 : err_set(err, ERR_INPUT, "not a JSON object") == 0)
		return 0;
	lxd_reply_release(reply);
	return -1;
}

void lxd_reply_release(struct lxd_reply *reply)
{
	json_decref(reply->json);
	*reply = (struct lxd_reply){0};
}

/* It becomes part of a path. */
static bool is_id(const char *text)
{
	return strlen(text) == LXD_REPLY_ID_SIZE - 1 && strspn(text, "0123456789abcdef-") == LXD_REPLY_ID_SIZE - 1;
}

int lxd_reply_operation(const json_t *metadata, struct lxd_operation *operation, struct err *err)
{
	const char *id;
	int64_t code;

	if (!json_is_object(metadata))
		return err_set(err, ERR_INPUT, "an operation must be an object");
	if (jsonget_string(metadata, "id", &id, err) < 0 || jsonget_integer(metadata, "status_code", &code, err) < 0)
		return -1;
	if (!is_id(id))
		return err_set(err, ERR_INPUT, "id: not a UUID");
	if (code < 100 || code >= CODE_END)
		return err_set(err, ERR_INPUT, "status_code: there is none like %lld", (long long)code);
	memcpy(operation->id, id, LXD_REPLY_ID_SIZE);
	operation->state = code < CODE_DONE ? LXD_REPLY_RUNNING : code < CODE_FAILED ? LXD_REPLY_DONE : LXD_REPLY_FAILED;
	operation->error = jsonget_string_or(metadata, "err", "");
	operation->metadata = json_object_get(metadata, "metadata");
	return 0;
}

/* It becomes part of a query. */
static bool is_secret(const char *text)
{
	size_t length = strlen(text);

	return length && length < LXD_REPLY_SECRET_SIZE &&
		strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == length;
}

int lxd_reply_streams(const struct lxd_operation *operation,
	char secrets[LXD_REPLY_STREAMS][LXD_REPLY_SECRET_SIZE], struct err *err)
{
	static const char *const names[LXD_REPLY_STREAMS] = {
		[LXD_REPLY_IN] = "0", [LXD_REPLY_OUT] = "1", [LXD_REPLY_ERRORS] = "2", [LXD_REPLY_CONTROL] = "control"};
	json_t *fds;

	if (!json_is_object(operation->metadata))
		return err_set(err, ERR_INPUT, "the operation has no metadata");
	if (jsonget_object(operation->metadata, "fds", &fds, err) < 0)
		return -1;
	for (size_t i = 0; i < LXD_REPLY_STREAMS; i++) {
		const char *secret;

		secrets[i][0] = '\0';
		if (jsonget_string(fds, names[i], &secret, err) < 0)
			return err_wrap(err, "fds");
		if (!is_secret(secret))
			return err_set(err, ERR_INPUT, "fds: %s: not a secret", names[i]);
		memcpy(secrets[i], secret, strlen(secret) + 1);
	}
	return 0;
}

int lxd_reply_status(const struct lxd_operation *operation, int *status, struct err *err)
{
	int64_t value;

	if (!json_is_object(operation->metadata))
		return err_set(err, ERR_INPUT, "the operation has no metadata");
	if (jsonget_integer(operation->metadata, "return", &value, err) < 0)
		return -1;
	if (value < 0 || value > 255)
		return err_set(err, ERR_INPUT, "return: %lld is no exit status", (long long)value);
	*status = (int)value;
	return 0;
}
