#include "store/vfs.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What SQLite allocates for a file; the one below follows it. */
struct vfs_file {
	sqlite3_file base; /* first: it is one */
	sqlite3_file *real;
	char *bytes; /* VFS_GATHER of them; NULL: nothing was written yet */
	size_t length;
	sqlite3_int64 at; /* where in the file the bytes belong */
	int fd; /* of the database, to tell the kernel about it; -1: a log */
	sqlite3_int64 first, last; /* where it was written at length since the last sync; both 0: nowhere */
};

static struct vfs_file *of(sqlite3_file *file)
{
	return (struct vfs_file *)file;
}

/* The database is written only to be synced soon after: the disk begins at once, so that there is less to wait for then. */
static void begin_sync(struct vfs_file *file)
{
	sqlite3_int64 end = file->at + (sqlite3_int64)file->length;

	sync_file_range(file->fd, file->at, (off_t)file->length, SYNC_FILE_RANGE_WRITE);
	if (file->length < VFS_GATHER / 2)
		return;
	if (!file->last || file->at < file->first)
		file->first = file->at;
	if (end > file->last)
		file->last = end;
}

/*
 * What is written at length are new rows, deliveries above all, which are seldom read again: their memory is used again for the next
 * ones and takes nobody else's.
 */
static void forget(struct vfs_file *file)
{
	if (file->last)
		posix_fadvise(file->fd, file->first, file->last - file->first, POSIX_FADV_DONTNEED);
	file->first = file->last = 0;
}

/* What can't be written stays, and is tried again by the next who needs it: writes never change their order. */
static int flush(struct vfs_file *file)
{
	int code;

	if (!file->length)
		return SQLITE_OK;
	code = file->real->pMethods->xWrite(file->real, file->bytes, (int)file->length, file->at);
	if (code != SQLITE_OK)
		return code;
	if (file->fd >= 0)
		begin_sync(file);
	file->length = 0;
	return code;
}

static int file_close(sqlite3_file *base)
{
	struct vfs_file *file = of(base);
	int code = flush(file), closed = file->real->pMethods->xClose(file->real);

	if (file->fd >= 0)
		close(file->fd); /* after SQLite's own: the first close() takes the locks of all */
	free(file->bytes);
	file->bytes = NULL;
	return code == SQLITE_OK ? closed : code;
}

static int file_read(sqlite3_file *base, void *out, int length, sqlite3_int64 at)
{
	struct vfs_file *file = of(base);
	bool touches = file->length && at < file->at + (sqlite3_int64)file->length && at + length > file->at;
	int code = touches ? flush(file) : SQLITE_OK;

	return code == SQLITE_OK ? file->real->pMethods->xRead(file->real, out, length, at) : code;
}

static int file_write(sqlite3_file *base, const void *bytes, int length, sqlite3_int64 at)
{
	struct vfs_file *file = of(base);
	size_t more = (size_t)length;

	if (file->length && (at != file->at + (sqlite3_int64)file->length || file->length + more > VFS_GATHER)) {
		int code = flush(file);

		if (code != SQLITE_OK)
			return code;
	}
	if (!file->bytes && !(file->bytes = malloc(VFS_GATHER)))
		return SQLITE_IOERR_NOMEM;
	if (more > VFS_GATHER)
		return file->real->pMethods->xWrite(file->real, bytes, length, at);
	if (!file->length)
		file->at = at;
	memcpy(file->bytes + file->length, bytes, more);
	file->length += more;
	return SQLITE_OK;
}

/* The rest: first what is gathered, then SQLite's own. */
#define PASS(name, parameters, ...) \
	static int file_##name parameters \
	{ \
		struct vfs_file *file = of(base); \
		int code = flush(file); \
\
		return code == SQLITE_OK ? file->real->pMethods->name(file->real, ##__VA_ARGS__) : code; \
	}
PASS(xTruncate, (sqlite3_file *base, sqlite3_int64 size), size)
PASS(xFileSize, (sqlite3_file *base, sqlite3_int64 *size), size)
PASS(xLock, (sqlite3_file *base, int level), level)
PASS(xUnlock, (sqlite3_file *base, int level), level)
PASS(xCheckReservedLock, (sqlite3_file *base, int *held), held)
PASS(xFileControl, (sqlite3_file *base, int what, void *value), what, value)
PASS(xShmLock, (sqlite3_file *base, int offset, int count, int flags), offset, count, flags)
PASS(xFetch, (sqlite3_file *base, sqlite3_int64 at, int length, void **out), at, length, out)
#undef PASS

static int file_sync(sqlite3_file *base, int flags)
{
	struct vfs_file *file = of(base);
	int code = flush(file);

	if (code == SQLITE_OK)
		code = file->real->pMethods->xSync(file->real, flags);
	if (code == SQLITE_OK)
		forget(file);
	return code;
}

static int file_sector_size(sqlite3_file *base)
{
	return of(base)->real->pMethods->xSectorSize(of(base)->real);
}

static int file_characteristics(sqlite3_file *base)
{
	return of(base)->real->pMethods->xDeviceCharacteristics(of(base)->real);
}

static int file_shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **out)
{
	return of(base)->real->pMethods->xShmMap(of(base)->real, region, size, extend, out);
}

static void file_shm_barrier(sqlite3_file *base)
{
	of(base)->real->pMethods->xShmBarrier(of(base)->real);
}

static int file_shm_unmap(sqlite3_file *base, int delete)
{
	return of(base)->real->pMethods->xShmUnmap(of(base)->real, delete);
}

static int file_unfetch(sqlite3_file *base, sqlite3_int64 at, void *bytes)
{
	return of(base)->real->pMethods->xUnfetch(of(base)->real, at, bytes);
}

static const sqlite3_io_methods methods = {
	.iVersion = 3,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_xTruncate,
	.xSync = file_sync,
	.xFileSize = file_xFileSize,
	.xLock = file_xLock,
	.xUnlock = file_xUnlock,
	.xCheckReservedLock = file_xCheckReservedLock,
	.xFileControl = file_xFileControl,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_characteristics,
	.xShmMap = file_shm_map,
	.xShmLock = file_xShmLock,
	.xShmBarrier = file_shm_barrier,
	.xShmUnmap = file_shm_unmap,
	.xFetch = file_xFetch,
	.xUnfetch = file_unfetch,
};

static sqlite3_vfs *below(sqlite3_vfs *vfs)
{
	return vfs->pAppData;
}

/* Only the database and its log: what else SQLite opens is short-lived. */
static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *taken)
{
	struct vfs_file *file = of(base);
	int code;

	if (!(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
		return below(vfs)->xOpen(below(vfs), name, base, flags, taken);
	*file = (struct vfs_file){.real = (sqlite3_file *)(file + 1), .fd = -1};
	memset(file->real, 0, (size_t)below(vfs)->szOsFile);
	code = below(vfs)->xOpen(below(vfs), name, file->real, flags, taken);
	if (file->real->pMethods && file->real->pMethods->iVersion >= 3)
		file->base.pMethods = &methods;
	else if (code == SQLITE_OK)
		code = SQLITE_CANTOPEN;
	if (code == SQLITE_OK && name && (flags & SQLITE_OPEN_MAIN_DB))
		file->fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return code;
}

const char *vfs_name(void)
{
	static sqlite3_vfs made;
	sqlite3_vfs *real;

	if (made.zName)
		return made.zName;
	real = sqlite3_vfs_find(NULL);
	if (!real)
		return NULL;
	made = *real;
	made.pNext = NULL;
	made.zName = "byoci";
	made.pAppData = real;
	made.szOsFile = (int)sizeof(struct vfs_file) + real->szOsFile;
	made.xOpen = open_file;
	return sqlite3_vfs_register(&made, 0) == SQLITE_OK ? made.zName : NULL;
}
