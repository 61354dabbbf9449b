#include <sys/socket.h>

#include "loop/httpd_inner.h"

void httpd_crowd_leave(struct httpd *httpd, struct httpd_request *request)
{
	if (!request->crowded)
		return;
	TAILQ_REMOVE(&httpd->crowd, request, link);
	httpd->crowd_count--;
	request->crowded = false;
}

/* A stream that waits ends well; one whose reader takes nothing, and a file, are cut. */
static void crowd_end(struct httpd *httpd, struct httpd_request *request)
{
	httpd_crowd_leave(httpd, request);
	request->ended = true;
	if (request->paused)
		httpd_more(request);
	else
		shutdown(MHD_get_connection_info(request->connection->mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd, SHUT_RDWR);
}

void httpd_crowd_join(struct httpd *httpd, struct httpd_request *request)
{
	TAILQ_INSERT_TAIL(&httpd->crowd, request, link);
	request->crowded = true;
	if (++httpd->crowd_count > (httpd->config.connections + 1) / 2)
		crowd_end(httpd, TAILQ_FIRST(&httpd->crowd));
}

void httpd_crowd_spoke(struct httpd_request *request)
{
	struct httpd *httpd = request->connection->httpd;

	if (!request->crowded)
		return;
	TAILQ_REMOVE(&httpd->crowd, request, link);
	TAILQ_INSERT_TAIL(&httpd->crowd, request, link);
}
