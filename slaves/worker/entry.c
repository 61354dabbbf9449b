#include "slaves/worker/entry.h"

#include <fcntl.h>
#include <sys/stat.h>

static bool is_pipe_end(int fd, int mode)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	return flags >= 0 && (flags & (O_ACCMODE | O_PATH)) == mode && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

bool entry_writable(const int *descriptors, size_t count)
{
	bool all = true;

	for (size_t i = 0; i < count; i++)
		all &= is_pipe_end(descriptors[i], O_WRONLY);
	return all;
}

int entry_check(const int *descriptors, struct err *err)
{
	if (is_pipe_end(descriptors[0], O_RDONLY) && entry_writable(descriptors + 1, 2))
		return 0;
	return err_set(err, ERR_INPUT, "in, out and err must be ends of pipes: nothing else goes into a worker");
}

int entry_begin(struct worker *worker, enum worker_operation operation, const int *descriptors, int *master, struct err *err)
{
	struct worker_entry entry = {.terminal = operation == WORKER_TERMINAL, .in = -1, .master = -1};

	if (!entry.terminal) {
		if (entry_check(descriptors, err) < 0)
			return -1;
		entry.in = descriptors[0];
		entry.out = descriptors[1];
		entry.errors = descriptors[2];
	}
	*master = -1;
	if (worker_enter(worker, &entry, err) < 0)
		return -1;
	*master = entry.master;
	return 0;
}
