/* What somebody answers where LXD should be. */
#include "slaves/lxd/lxd_reply.h"

#include "fuzz.h"

static void read_operation(const json_t *metadata)
{
	char secrets[LXD_REPLY_STREAMS][LXD_REPLY_SECRET_SIZE];
	struct err err = {.kind = ERR_NONE};
	struct lxd_operation operation;
	int status;

	if (lxd_reply_operation(metadata, &operation, &err) < 0) {
		MUST(err.kind == ERR_INPUT && *err.text);
		return;
	}
	MUST(strlen(operation.id) == LXD_REPLY_ID_SIZE - 1 && !strpbrk(operation.id, "/?#&%. ") && operation.error);
	if (lxd_reply_streams(&operation, secrets, &err) == 0)
		for (int i = 0; i < LXD_REPLY_STREAMS; i++)
			MUST(*secrets[i] && strlen(secrets[i]) < LXD_REPLY_SECRET_SIZE && !strpbrk(secrets[i], "/?#&%. \r\n"));
	if (lxd_reply_status(&operation, &status, &err) == 0)
		MUST(status >= 0 && status <= 255);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct err err = {.kind = ERR_NONE};
	struct lxd_reply reply;

	if (lxd_reply_parse(bytes, length, &reply, &err) < 0) {
		MUST(err.kind == ERR_INPUT && *err.text);
		return 0;
	}
	MUST(reply.type == LXD_REPLY_ERROR ? reply.error && reply.code >= 400 : reply.metadata != NULL);
	if (reply.metadata)
		read_operation(reply.metadata);
	lxd_reply_release(&reply);
	return 0;
}
