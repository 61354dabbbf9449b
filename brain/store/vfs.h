/*
 * SQLite's files with their writes gathered: SQLite writes a log frame's header and its page each by a system call, and a page of
 * the database by another. Here what follows in the file follows in memory, and is written at once before anybody could miss
 * it: before a sync, a read of it, a truncation, a lock or an unlock, and when it is VFS_GATHER bytes. What is synced is what
 * SQLite asked to be synced, when it asked for it.
 */
#ifndef BYOCI_STORE_VFS_H
#define BYOCI_STORE_VFS_H

#define VFS_GATHER (127 * 1024) /* SQLite writes at most 128 KiB - 1 at once, and takes what is left of more for a full disk */

/* The name to open a database with; registered the first time. NULL: SQLite has no file system here. */
const char *vfs_name(void);

#endif
