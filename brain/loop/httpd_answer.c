#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop/httpd_inner.h"
#include "loop/range.h"

enum { STREAM_BLOCK = 16 * 1024 }; /* bytes asked of a stream's `read` at once */

/* Takes the response, with or without a body. */
static void answer(struct httpd_request *request, unsigned status, struct MHD_Response *response, const char *type,
	const struct httpd_field *headers)
{
	if (!response)
		err_fatal("out of memory");
	if (request->answered) {
		MHD_destroy_response(response);
		return;
	}
	if (type)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	for (; headers && headers->name; headers++)
		MHD_add_response_header(response, headers->name, headers->value);
	request->answered = true;
	request->status = status;
	request->response = response;
	httpd_deadline_start(request->connection); /* now to send it */
	if (request->suspended)
		MHD_resume_connection(request->connection->mhd);
	else if (request->waiting)
		request->connection->httpd->waiting--;
	if (request->waiting)
		httpd_go_on(request->connection);
	request->waiting = request->suspended = false;
}

void httpd_answer(struct httpd_request *request, unsigned status, const char *type, const struct httpd_field *headers,
	const void *body, size_t length)
{
	void *bytes = (void *)(uintptr_t)body; /* it is only read: MHD_RESPMEM_MUST_COPY */

	answer(request, status, MHD_create_response_from_buffer(length, bytes, MHD_RESPMEM_MUST_COPY), type, headers);
}

void httpd_answer_error(struct httpd_request *request, unsigned status, const char *text)
{
	static const struct httpd_field later[] = {{MHD_HTTP_HEADER_RETRY_AFTER, "10"}, {NULL, NULL}};
	bool wait = status == MHD_HTTP_TOO_MANY_REQUESTS || status == MHD_HTTP_SERVICE_UNAVAILABLE;
	json_t *json = json_pack("{s:s}", "error", text);
	char *body = json ? json_dumps(json, JSON_COMPACT) : NULL; /* NULL: not UTF-8 */

	httpd_answer(request, status, "application/json", wait ? later : NULL, body ? body : "{}", body ? strlen(body) : 2);
	free(body);
	json_decref(json);
}

void httpd_answer_file(struct httpd_request *request, const char *type, const struct httpd_field *headers, int fd)
{
	static const unsigned statuses[] = {[RANGE_WHOLE] = MHD_HTTP_OK, [RANGE_PART] = MHD_HTTP_PARTIAL_CONTENT,
		[RANGE_OUTSIDE] = MHD_HTTP_RANGE_NOT_SATISFIABLE};
	struct MHD_Response *response;
	struct stat st;
	uint64_t first, length;
	enum range range;
	char text[RANGE_TEXT];

	if (request->answered || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		httpd_answer_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "it is no file");
		return;
	}
	range = range_parse(httpd_header(request, MHD_HTTP_HEADER_RANGE), (uint64_t)st.st_size, &first, &length);
	response = MHD_create_response_from_fd_at_offset64(length, fd, first);
	if (!response)
		err_fatal("out of memory");
	MHD_add_response_header(response, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
	if (range != RANGE_WHOLE)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_RANGE,
			range_text(range, first, length, (uint64_t)st.st_size, text));
	request->unlimited = true;
	answer(request, statuses[range], response, type, headers);
}

static ssize_t on_read(void *cookie, uint64_t position, char *out, size_t room)
{
	struct httpd_request *request = cookie;
	ssize_t got = 0;

	(void)position;
	do {
		request->more = false;
		if (!request->connection->httpd->stopping && !request->ended)
			got = request->read(request->read_cookie, request, out, room);
	} while (got == 0 && request->more);
	if (got > 0)
		httpd_crowd_spoke(request);
	if (got > 0)
		return got;
	if (got < 0 || request->connection->httpd->stopping || request->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	request->paused = true;
	MHD_suspend_connection(request->connection->mhd);
	return 0;
}

void httpd_answer_stream(struct httpd_request *request, const char *type, const struct httpd_field *headers, httpd_read_fn *read,
	void *cookie)
{
	if (request->answered)
		return;
	request->read = read;
	request->read_cookie = cookie;
	request->unlimited = true;
	answer(request, MHD_HTTP_OK, MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, on_read, request, NULL), type,
		headers);
}
