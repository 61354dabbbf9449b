#include "loop/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void spool_init(struct spool *spool, size_t memory)
{
	*spool = (struct spool){.fd = -1};
	buf_init(&spool->memory, memory);
}

static void unmap(struct spool *spool)
{
	if (spool->map)
		munmap(spool->map, spool->length);
	spool->map = NULL;
}

void spool_release(struct spool *spool)
{
	unmap(spool);
	if (spool->fd >= 0)
		close(spool->fd);
	spool->fd = -1;
	spool->length = 0;
	buf_release(&spool->memory);
}

static int write_all(int fd, const char *bytes, size_t length, struct err *err)
{
	while (length) {
		ssize_t put = write(fd, bytes, length);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return err_set_errno(err, errno, "a temporary file cannot be written");
		bytes += put;
		length -= (size_t)put;
	}
	return 0;
}

static int open_unlinked(struct err *err)
{
	const char *folder = getenv("TMPDIR");
	char path[4096];
	int length = snprintf(path, sizeof path, "%s/byoci-spool-XXXXXX", folder && *folder == '/' ? folder : "/var/tmp");
	int fd;

	if (length < 0 || (size_t)length >= sizeof path)
		return err_set(err, ERR_CONFIG, "TMPDIR is too long");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(err, errno, "%s: no temporary file", path);
	unlink(path);
	return fd;
}

/* What is in memory goes to a file. */
static int move_out(struct spool *spool, struct err *err)
{
	int fd = open_unlinked(err);

	if (fd < 0)
		return -1;
	if (write_all(fd, spool->memory.data, spool->memory.length, err) < 0) {
		close(fd);
		return -1;
	}
	spool->fd = fd;
	buf_release(&spool->memory);
	return 0;
}

int spool_add(struct spool *spool, const void *bytes, size_t length, struct err *err)
{
	unmap(spool);
	if (spool->fd < 0 && buf_add(&spool->memory, bytes, length) == 0) {
		spool->length += length;
		return 0;
	}
	if (spool->fd < 0 && move_out(spool, err) < 0)
		return -1;
	if (write_all(spool->fd, bytes, length, err) < 0)
		return -1;
	spool->length += length;
	return 0;
}

const void *spool_bytes(struct spool *spool, struct err *err)
{
	void *map;

	if (spool->fd < 0)
		return spool->memory.data ? spool->memory.data : "";
	if (spool->map)
		return spool->map;
	map = mmap(NULL, spool->length, PROT_READ, MAP_PRIVATE, spool->fd, 0);
	if (map == MAP_FAILED) {
		err_set_errno(err, errno, "a temporary file cannot be read");
		return NULL;
	}
	spool->map = map;
	return map;
}
