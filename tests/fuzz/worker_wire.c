/* A packet on the worker socket, which root reads. The first byte is how many descriptors came with it. */
#include "fuzz.h"
#include "slaves/worker/worker_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	size_t descriptors = length ? bytes[0] : 0;
	struct worker_request request;
	struct err err = {.kind = ERR_NONE};
	uint8_t *packet;

	if (!length)
		return 0;
	packet = malloc(length - 1 ? length - 1 : 1);
	MUST(packet);
	memcpy(packet, bytes + 1, length - 1);
	if (worker_wire_check(packet, length - 1, descriptors, &request, &err) == 0) {
		MUST(length - 1 == sizeof request && request.version == WORKER_VERSION);
		MUST(request.operation >= WORKER_BUILD_BACKING && request.operation < WORKER_OPERATIONS);
		MUST(memchr(request.build, '\0', sizeof request.build) && memchr(request.section, '\0', sizeof request.section));
		MUST(memchr(request.digest, '\0', sizeof request.digest) && !strchr(request.section, '/'));
		MUST(descriptors == worker_wire_descriptors((enum worker_operation)request.operation));
	} else {
		MUST(err.kind == ERR_INPUT && *err.text);
	}
	free(packet);
	return 0;
}
