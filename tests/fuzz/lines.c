/* Lines of JSON on a socket, as a client reads them. */
#include "loop/lines.h"
#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

enum { LONGEST = 64 * 1024, LIMIT_MS = 1000 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct err err = {.kind = ERR_NONE};
	struct lines_reader *reader;
	json_t *message;
	int pair[2];

	if (length > LONGEST)
		return 0;
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	MUST(send(pair[0], bytes, length, 0) == (ssize_t)length);
	close(pair[0]);
	reader = lines_reader_new(pair[1]);
	while ((message = lines_reader_next(reader, LIMIT_MS, &err)))
		json_decref(message);
	MUST(err.kind == ERR_NONE || err.kind == ERR_INPUT || err.kind == ERR_NETWORK || err.kind == ERR_SYSTEM);
	lines_reader_free(reader);
	close(pair[1]);
	return 0;
}
