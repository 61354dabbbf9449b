#include <string.h>

#include "loop/httpd_inner.h"

void httpd_deadline_start(struct connection *connection)
{
	deadlines_start(&connection->httpd->deadlines, &connection->deadline, connection);
}

/* Once more, and whatever else there is. */
void httpd_go_on(struct connection *connection)
{
	loop_wake(connection->httpd->again);
}

const char *httpd_method(const struct httpd_request *request)
{
	return request->method;
}

const char *httpd_path(const struct httpd_request *request)
{
	return request->path;
}

const char *httpd_header(const struct httpd_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection->mhd, MHD_HEADER_KIND, name);
}

const char *httpd_query(const struct httpd_request *request, const char *name)
{
	struct MHD_Connection *mhd = request->connection->mhd;
	const char *value = NULL;

	if (MHD_lookup_connection_value_n(mhd, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, NULL) != MHD_YES)
		return NULL;
	return value ? value : "";
}

const char *httpd_peer(const struct httpd_request *request)
{
	return request->connection->peer;
}

struct headers {
	httpd_header_fn *call;
	void *cookie;
};

static enum MHD_Result each_header(void *cookie, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct headers *headers = cookie;

	(void)kind;
	headers->call(headers->cookie, name, value ? value : "");
	return MHD_YES;
}

void httpd_headers(const struct httpd_request *request, httpd_header_fn *call, void *cookie)
{
	struct headers headers = {.call = call, .cookie = cookie};

	MHD_get_connection_values(request->connection->mhd, MHD_HEADER_KIND, each_header, &headers);
}

void httpd_set(struct httpd_request *request, void *own)
{
	request->own = own;
}

void *httpd_get(const struct httpd_request *request)
{
	return request->own;
}

const void *httpd_body(struct httpd_request *request, size_t *length, struct err *err)
{
	*length = request->body.length;
	return spool_bytes(&request->body, err);
}

void httpd_verified(struct httpd_request *request)
{
	request->connection->httpd->unverified -= request->counted;
	request->counted = 0;
	request->uncounted = true;
}

bool httpd_answered(const struct httpd_request *request)
{
	return request->answered;
}

void httpd_more(struct httpd_request *request)
{
	request->more = true;
	if (!request->paused)
		return;
	request->paused = false;
	MHD_resume_connection(request->connection->mhd);
	httpd_go_on(request->connection);
}
