/* What LXD answers, as it is meant, and as it should never be. */
#include "slaves/lxd/lxd_reply.h"

#include "tests/tap.h"

#define ID "0e3b9a56-4d5c-4d8e-9a36-0d5c5b6a7f10"

static struct err err;

static bool parse(const char *text, struct lxd_reply *reply)
{
	err_clear(&err);
	return lxd_reply_parse(text, strlen(text), reply, &err) == 0;
}

static bool refuses(const char *text)
{
	struct lxd_reply reply;

	if (!parse(text, &reply))
		return err.kind == ERR_INPUT && !reply.json;
	lxd_reply_release(&reply);
	return false;
}

static void envelopes(void)
{
	static const char *const wrong[] = {"", "[]", "{", "null", "{}", "{\"type\":1}", "{\"type\":\"sync\"}", "{\"type\":\"other\",\"metadata\":{}}",
		"{\"type\":\"async\",\"metadata\":null}", "{\"type\":\"async\",\"metadata\":[]}", "{\"type\":\"error\"}",
		"{\"type\":\"error\",\"error\":\"a\"}", "{\"type\":\"error\",\"error\":\"a\",\"error_code\":200}",
		"{\"type\":\"error\",\"error\":7,\"error_code\":404}", "{\"type\":\"sync\",\"type\":\"sync\",\"metadata\":{}}",
		"{\"type\":\"sync\",\"metadata\":{}} x", "HTTP/1.1 200 OK"};
	struct lxd_reply reply;

	ok(parse("{\"type\":\"sync\",\"status\":\"Success\",\"status_code\":200,\"operation\":\"\",\"error_code\":0,\"error\":\"\","
		"\"metadata\":[\"/1.0\"]}", &reply) && reply.type == LXD_REPLY_SYNC && json_is_array(reply.metadata), "what was asked for");
	lxd_reply_release(&reply);
	ok(parse("{\"type\":\"sync\",\"metadata\":null}", &reply) && json_is_null(reply.metadata), "nothing");
	lxd_reply_release(&reply);
	ok(parse("{\"type\":\"error\",\"error\":\"Instance not found\",\"error_code\":404,\"metadata\":null}", &reply) &&
		reply.type == LXD_REPLY_ERROR && reply.code == 404, "an error");
	is(reply.error, "Instance not found", "with LXD's words");
	lxd_reply_release(&reply);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (!ok(refuses(wrong[i]), "no reply of LXD's"))
			printf("# %s\n", wrong[i]);
}

/* The operation in the reply to a request that began one. */
static bool operation(const char *metadata, struct lxd_reply *reply, struct lxd_operation *out)
{
	char text[2048];

	snprintf(text, sizeof text, "{\"type\":\"async\",\"metadata\":%s}", metadata);
	if (!parse(text, reply))
		return false;
	if (lxd_reply_operation(reply->metadata, out, &err) == 0)
		return true;
	lxd_reply_release(reply);
	return false;
}

static void operations(void)
{
	static const struct {
		const char *metadata;
		enum lxd_reply_state state;
		const char *error, *what;
	} right[] = {
		{"{\"id\":\"" ID "\",\"status_code\":103,\"err\":\"\",\"metadata\":null}", LXD_REPLY_RUNNING, "", "one that goes on"},
		{"{\"id\":\"" ID "\",\"status_code\":200,\"err\":\"\",\"metadata\":{\"return\":3}}", LXD_REPLY_DONE, "", "one that is done"},
		{"{\"id\":\"" ID "\",\"status_code\":400,\"err\":\"no space\"}", LXD_REPLY_FAILED, "no space", "one that failed"},
		{"{\"id\":\"" ID "\",\"status_code\":401}", LXD_REPLY_FAILED, "", "one that was cancelled"},
	};
	static const char *const wrong[] = {"{}", "{\"id\":\"" ID "\"}", "{\"id\":7,\"status_code\":103}", "{\"id\":\"\",\"status_code\":103}",
		"{\"id\":\"../../../../../../etc/passwd/../../..\",\"status_code\":103}", "{\"id\":\"" ID "0\",\"status_code\":103}",
		"{\"id\":\"" ID "\",\"status_code\":7}", "{\"id\":\"" ID "\",\"status_code\":\"200\"}", "{\"id\":\"" ID "\",\"status_code\":1e9}"};
	struct lxd_operation got;
	struct lxd_reply reply;

	for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
		if (!ok(operation(right[i].metadata, &reply, &got), right[i].what))
			continue;
		ok(got.state == right[i].state && strcmp(got.id, ID) == 0 && strcmp(got.error, right[i].error) == 0, "is read");
		lxd_reply_release(&reply);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (!ok(!operation(wrong[i], &reply, &got) && err.kind == ERR_INPUT, "no operation"))
			printf("# %s\n", wrong[i]);
}

static bool streams(const char *metadata, char secrets[][LXD_REPLY_SECRET_SIZE])
{
	struct lxd_operation got;
	struct lxd_reply reply;
	char text[1024];
	bool good;

	snprintf(text, sizeof text, "{\"id\":\"" ID "\",\"status_code\":103,\"metadata\":%s}", metadata);
	if (!operation(text, &reply, &got))
		return false;
	good = lxd_reply_streams(&got, secrets, &err) == 0;
	lxd_reply_release(&reply);
	return good;
}

static int status(const char *metadata)
{
	struct lxd_operation got;
	struct lxd_reply reply;
	char text[256];
	int out = -1;

	snprintf(text, sizeof text, "{\"id\":\"" ID "\",\"status_code\":200,\"metadata\":%s}", metadata);
	if (!operation(text, &reply, &got))
		return -2;
	if (lxd_reply_status(&got, &out, &err) < 0)
		out = -1;
	lxd_reply_release(&reply);
	return out;
}

int main(void)
{
	char secrets[LXD_REPLY_STREAMS][LXD_REPLY_SECRET_SIZE];

	envelopes();
	operations();
	ok(streams("{\"fds\":{\"0\":\"a0\",\"1\":\"b1\",\"2\":\"c2\",\"control\":\"d3\"},\"command\":[\"x\"]}", secrets), "a command's streams");
	is(secrets[LXD_REPLY_IN], "a0", "its input");
	is(secrets[LXD_REPLY_CONTROL], "d3", "its control");
	ok(!streams("null", secrets), "not without metadata");
	ok(!streams("{\"fds\":{\"0\":\"a0\",\"1\":\"b1\",\"2\":\"c2\"}}", secrets), "not one too few");
	ok(!streams("{\"fds\":{\"0\":\"\",\"1\":\"b1\",\"2\":\"c2\",\"control\":\"d3\"}}", secrets), "not without a secret");
	ok(!streams("{\"fds\":{\"0\":\"a&project=b\",\"1\":\"b1\",\"2\":\"c2\",\"control\":\"d3\"}}", secrets), "nor one that says more");
	ok(!streams("{\"fds\":{\"0\":\"a0\",\"control\":\"d3\"}}", secrets), "nor those of a terminal");
	ok(status("{\"return\":0}") == 0 && status("{\"return\":255}") == 255, "exit statuses");
	ok(status("{\"return\":-1}") == -1 && status("{\"return\":256}") == -1, "and what is none");
	ok(status("{\"return\":\"0\"}") == -1 && status("{}") == -1 && status("null") == -1, "a command that ended without saying how is no success");
	return tap_done();
}
