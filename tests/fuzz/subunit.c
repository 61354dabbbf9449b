/* A test report in subunit's packets: as it comes, and with the input in a packet whose length and sum are right. */
#include "slaves/record/subunit.h"
#include <zlib.h>
#include "fuzz.h"

static void packet(const uint8_t *bytes, size_t length)
{
	static uint8_t packet[10000];
	size_t whole = 1 + 2 + 2 + length - 2 + 4;
	struct counts counts = {.run = 0};
	struct err err = {.kind = ERR_NONE};
	uint32_t sum;

	packet[0] = 0xb3;
	packet[1] = 0x20 | (bytes[0] & 0x0f);
	packet[2] = bytes[1] & 0xf7;
	packet[3] = (uint8_t)(0x40 | whole >> 8);
	packet[4] = (uint8_t)whole;
	memcpy(packet + 5, bytes + 2, length - 2);
	sum = (uint32_t)crc32(0, packet, (unsigned)(whole - 4));
	for (size_t i = 0; i < 4; i++)
		packet[whole - 4 + i] = (uint8_t)(sum >> (24 - 8 * i));
	subunit_count(packet, whole, &counts, &err);
	MUST(counts_valid(&counts));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct counts counts = {.run = 0}, again = {.run = 0};
	struct err err = {.kind = ERR_NONE};
	int rc = subunit_count(bytes, length, &counts, &err);

	MUST(rc == 0 || (err.kind == ERR_INPUT && *err.text));
	MUST(counts_valid(&counts));
	MUST(subunit_count(bytes, length, &again, &err) == rc && memcmp(&counts, &again, sizeof counts) == 0);
	if (length >= 2 && length < 9000)
		packet(bytes, length);
	return 0;
}
