/* A folder of its own for one test program; removed at its end. */
#ifndef BYOCI_TESTS_TMP_H
#define BYOCI_TESTS_TMP_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char tmp_folder[256];

static inline int tmp_unlink(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static inline void tmp_remove(void)
{
	nftw(tmp_folder, tmp_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void tmp_make(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(tmp_folder, sizeof tmp_folder, "%s/byoci-test.XXXXXX", base && *base ? base : "/tmp");
	if (!mkdtemp(tmp_folder)) {
		perror(tmp_folder);
		exit(1);
	}
	atexit(tmp_remove);
}

/* The path of `name` in the folder; good until the eighth call after this one. */
static inline const char *tmp_path(const char *name)
{
	static char paths[8][512];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof paths[0], "%s/%s", tmp_folder, name);
	return path;
}

/* Makes a file there; returns its path. */
static inline const char *tmp_file(const char *name, const void *bytes, size_t length, mode_t mode)
{
	const char *path = tmp_path(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, length) != (ssize_t)length || fchmod(fd, mode) < 0) {
		perror(path);
		exit(1);
	}
	close(fd);
	return path;
}

static inline const char *tmp_text(const char *name, const char *text, mode_t mode)
{
	return tmp_file(name, text, strlen(text), mode);
}

#endif
