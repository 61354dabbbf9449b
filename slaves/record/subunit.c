#include "slaves/record/subunit.h"

#include <stdbool.h>
#include <string.h>
#include <zlib.h>

#define SIGNATURE 0xb3
#define PACKET_LEAST 8
#define PACKET_MOST ((size_t)4 * 1024 * 1024)
#define CRC_SIZE 4
#define OPEN 256 /* tests that have begun and not ended, at most; no more of them are timed */
#define SUMS 8  /* as many bytes are summed as the report has, and this many times: lies about lengths cost no more */

enum {
	FLAG_VERSION = 0xf000,
	FLAG_VERSION_2 = 0x2000,
	FLAG_ID = 0x0800,
	FLAG_TIME = 0x0200,
	FLAG_UNUSED = 0x0008,
	FLAG_STATUS = 0x0007
};

enum status { STATUS_NONE, STATUS_EXISTS, STATUS_BEGUN, STATUS_SUCCESS, STATUS_UNEXPECTED, STATUS_SKIP, STATUS_FAIL, STATUS_EXPECTED };

/* What is read of a packet that is whole. */
struct packet {
	enum status status;
	int64_t ms; /* -1: no time */
	const unsigned char *id;
	size_t id_length;
};

/* What is left to be read. */
struct bytes {
	const unsigned char *at, *end;
};

/* A test that has begun: known by a hash of its id, since ids may be long and many. */
struct open {
	uint64_t id;
	int64_t ms;
};

struct reading {
	struct counts *counts;
	struct open open[OPEN];
	size_t open_count;
	int64_t begun; /* and not ended; more than are in `open` */
};

static bool take(struct bytes *bytes, size_t count, uint64_t *number)
{
	if ((size_t)(bytes->end - bytes->at) < count)
		return false;
	for (*number = 0; count; count--)
		*number = *number << 8 | *bytes->at++;
	return true;
}

/* 6, 14, 22 or 30 bits. */
static bool take_number(struct bytes *bytes, uint64_t *number)
{
	size_t more;

	if (bytes->at == bytes->end)
		return false;
	more = *bytes->at >> 6;
	if (!take(bytes, more + 1, number))
		return false;
	*number &= (UINT64_C(1) << (6 + 8 * more)) - 1;
	return true;
}

static bool take_time(struct bytes *bytes, struct packet *packet)
{
	uint64_t seconds, nanoseconds;

	if (!take(bytes, 4, &seconds) || !take_number(bytes, &nanoseconds) || nanoseconds >= 1000000000)
		return false;
	packet->ms = (int64_t)(seconds * 1000 + nanoseconds / 1000000);
	return true;
}

static bool take_id(struct bytes *bytes, struct packet *packet)
{
	uint64_t length;

	if (!take_number(bytes, &length) || length > (size_t)(bytes->end - bytes->at))
		return false;
	packet->id = bytes->at;
	packet->id_length = (size_t)length;
	bytes->at += length;
	return true;
}

/* Its length; 0: not a packet that is whole. */
static size_t read_packet(const unsigned char *at, size_t room, uint64_t *budget, struct packet *packet)
{
	struct bytes bytes = {at + 1, at + room};
	uint64_t flags, length, crc;

	*packet = (struct packet){.ms = -1};
	if (!take(&bytes, 2, &flags) || !take_number(&bytes, &length))
		return 0;
	if ((flags & FLAG_VERSION) != FLAG_VERSION_2 || flags & FLAG_UNUSED || length < PACKET_LEAST || length > PACKET_MOST || length > room ||
		length > *budget)
		return 0;
	*budget -= length;
	bytes.end = at + length;
	struct bytes last = {bytes.end - CRC_SIZE, bytes.end};
	if (!take(&last, CRC_SIZE, &crc) || crc32(0, at, (uInt)(length - CRC_SIZE)) != crc)
		return 0;
	bytes.end -= CRC_SIZE;
	packet->status = (enum status)(flags & FLAG_STATUS);
	if (flags & FLAG_TIME && !take_time(&bytes, packet))
		return 0;
	if (flags & FLAG_ID && !take_id(&bytes, packet))
		return 0;
	return (size_t)length;
}

/* FNV-1a. Two tests of one hash have each other's times, and that is all. */
static uint64_t hash(const unsigned char *bytes, size_t length)
{
	uint64_t value = UINT64_C(14695981039346656037);

	while (length--)
		value = (value ^ *bytes++) * UINT64_C(1099511628211);
	return value;
}

static struct open *find(struct reading *reading, uint64_t id)
{
	for (size_t i = reading->open_count; i-- > 0;)
		if (reading->open[i].id == id)
			return &reading->open[i];
	return NULL;
}

static void begin(struct reading *reading, const struct packet *packet)
{
	uint64_t id = hash(packet->id, packet->id_length);

	if (find(reading, id))
		return;
	reading->begun++;
	if (reading->open_count < OPEN)
		reading->open[reading->open_count++] = (struct open){.id = id, .ms = packet->ms};
}

static void end(struct reading *reading, const struct packet *packet)
{
	static const enum counts_end ends[] = {
		[STATUS_SUCCESS] = COUNTS_PASSED, [STATUS_UNEXPECTED] = COUNTS_FAILED, [STATUS_SKIP] = COUNTS_SKIPPED,
		[STATUS_FAIL] = COUNTS_FAILED, [STATUS_EXPECTED] = COUNTS_PASSED};
	struct open *open = find(reading, hash(packet->id, packet->id_length));
	int64_t ms = -1;

	if (open) {
		if (open->ms >= 0 && packet->ms >= open->ms)
			ms = packet->ms - open->ms;
		*open = reading->open[--reading->open_count];
		reading->begun--;
	} else if (reading->begun > (int64_t)reading->open_count) {
		reading->begun--;
	}
	counts_add(reading->counts, ends[packet->status], (const char *)packet->id, packet->id_length, ms);
}

int subunit_count(const void *bytes, size_t length, struct counts *counts, struct err *err)
{
	static struct reading reading;
	const unsigned char *first = bytes, *stop = first + length, *at = first, *broken = NULL;
	uint64_t budget = (uint64_t)length * SUMS;
	bool any = false;

	reading.counts = counts;
	reading.open_count = 0;
	reading.begun = 0;
	while (at < stop && (at = memchr(at, SIGNATURE, (size_t)(stop - at)))) {
		struct packet packet;
		size_t used = read_packet(at, (size_t)(stop - at), &budget, &packet);

		if (used == 0) {
			broken = broken ? broken : at;
			at++;
			continue;
		}
		at += used;
		any = true;
		if (packet.id && packet.status == STATUS_BEGUN)
			begin(&reading, &packet);
		else if (packet.id && packet.status > STATUS_BEGUN)
			end(&reading, &packet);
	}
	counts_add_many(counts, COUNTS_FAILED, reading.begun);
	if (broken)
		return err_set(err, ERR_INPUT, "subunit report: a broken packet at byte %zu", (size_t)(broken - first));
	return any ? 0 : err_set(err, ERR_INPUT, "subunit report: no packet in it");
}
