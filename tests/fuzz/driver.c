/*
 * Runs a fuzz target without libFuzzer: every input of the folders it is given, then changed ones until the time is over. Understands
 * libFuzzer's -max_total_time=SECONDS, -seed=NUMBER and -artifact_prefix=PREFIX; other options are passed over.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

enum { LONGEST = 16 * 1024, INPUTS = 4096, CHANGES = 6 };

struct input {
	uint8_t *bytes;
	size_t length;
};

static struct input inputs[INPUTS];
static size_t input_count;
static uint64_t state = 1;
static const char *prefix = "";

/* The one that is being tried: written down when it crashes. */
static uint8_t current[2 * LONGEST];
static size_t current_length;

static uint64_t any(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return below ? state % below : 0;
}

static void on_abort(int number)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof path, "%scrash-%ld", prefix, (long)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd >= 0 && write(fd, current, current_length) == (ssize_t)current_length)
		fprintf(stderr, "the input is in %s\n", path);
	signal(number, SIG_DFL);
	raise(number);
}

static void try(void)
{
	uint8_t *exact = malloc(current_length ? current_length : 1);

	MUST(exact);
	memcpy(exact, current, current_length);
	LLVMFuzzerTestOneInput(exact, current_length);
	free(exact);
}

static void add_file(const char *folder, const char *name)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	file = fopen(path, "re");
	MUST(file);
	current_length = fread(current, 1, LONGEST, file);
	fclose(file);
	try();
	if (input_count == INPUTS)
		return;
	inputs[input_count].bytes = malloc(current_length ? current_length : 1);
	MUST(inputs[input_count].bytes);
	memcpy(inputs[input_count].bytes, current, current_length);
	inputs[input_count++].length = current_length;
}

static void add_folder(const char *folder)
{
	DIR *entries = opendir(folder);
	const struct dirent *entry;

	MUST(entries);
	while ((entry = readdir(entries)))
		if (entry->d_name[0] != '.')
			add_file(folder, entry->d_name);
	closedir(entries);
}

/* Puts `bytes` where `cut` bytes are. */
static void replace(size_t at, size_t cut, const void *bytes, size_t length)
{
	memmove(current + at + length, current + at + cut, current_length - at - cut);
	memmove(current + at, bytes, length);
	current_length += length - cut;
}

static void change(void)
{
	static const char *const words[] = {"\"", "\\u0000", "{", "[", "]", "}", ":", ",", "\n", "-1", "18446744073709551616", "\xff",
		"\xed\xa0\x80", "%s", "..", "/", "null", "9223372036854775807", "{name}", "="};
	const struct input *other = &inputs[any(input_count)];
	const char *word = words[any(sizeof words / sizeof words[0])];
	size_t at = any(current_length + 1), span = any(current_length - at < 64 ? current_length - at + 1 : 64), from;

	switch (any(6)) {
	case 0:
		if (at < current_length)
			current[at] ^= (uint8_t)(1U << any(8));
		break;
	case 1:
		if (at < current_length)
			current[at] = (uint8_t)any(256);
		break;
	case 2:
		replace(at, span, "", 0);
		break;
	case 3:
		replace(at, any(2) ? span : 0, word, strlen(word));
		break;
	case 4:
		from = any(other->length);
		replace(at, span, other->bytes + from, any(other->length - from + 1));
		break;
	default:
		replace(at, 0, current + at, span);
	}
}

static void try_changed(void)
{
	const struct input *input = &inputs[any(input_count)];

	memcpy(current, input->bytes, input->length);
	current_length = input->length;
	for (uint64_t changes = 1 + any(CHANGES); changes && current_length < LONGEST; changes--)
		change();
	try();
}

int main(int argc, char **argv)
{
	unsigned long seconds = 0, tries = 0;
	time_t end;

	signal(SIGABRT, on_abort);
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-max_total_time=", 16) == 0)
			seconds = strtoul(argv[i] + 16, NULL, 10);
		else if (strncmp(argv[i], "-seed=", 6) == 0)
			state = strtoul(argv[i] + 6, NULL, 10) * 2 + 1;
		else if (strncmp(argv[i], "-artifact_prefix=", 17) == 0)
			prefix = argv[i] + 17;
		else if (argv[i][0] != '-')
			add_folder(argv[i]);
	}
	MUST(input_count);
	for (end = time(NULL) + (time_t)seconds; time(NULL) < end; tries++)
		try_changed();
	printf("Done %lu runs of %zu inputs\n", tries, input_count);
	for (size_t i = 0; i < input_count; i++)
		free(inputs[i].bytes);
	return 0;
}
