/*
 * The builds of a slave on disk, one folder each: {state}/slave/builds/BUILD/ with spec.json (what was asked), log, result (the
 * signed line, written last), leader.pid (who works on it), layer/ (the exported tree, while it is needed). All that is known of
 * a build is here, so that the daemon can be killed at any time.
 */
#ifndef BYOCI_SLAVES_BUILDS_H
#define BYOCI_SLAVES_BUILDS_H

#include <stdbool.h>
#include <sys/types.h>

#include "forge/outcome.h"
#include "forge/spec.h"
#include "slaves/common/program.h"

/* The path of one of its files, in the arena; `file` NULL: the folder itself. NULL and err. */
char *builds_path(const struct program *program, struct arena *arena, const char *build, const char *file, struct err *err);

/* Its spec, parsed. ERR_NOT_FOUND: no such build. */
int builds_spec(const struct program *program, struct arena *arena, const char *build, struct spec *spec, struct err *err);

/* The same of a file anywhere. */
int builds_spec_at(struct arena *arena, const char *path, struct spec *spec, struct err *err);

/* Its signed result line without newline, in the arena. NULL with ERR_NOT_FOUND: not ended. */
char *builds_result(const struct program *program, struct arena *arena, const char *build, struct err *err);

/* When it was asked for, ms since 1970; 0: not known. */
int64_t builds_started(const struct program *program, struct arena *arena, const char *build);

/* The ids of all, NULL-ended, in the arena; NULL and err. */
const char *const *builds_list(const struct program *program, struct arena *arena, struct err *err);

/*
 * Who works on it. leader.pid is locked (flock(2)) by the open file that the daemon hands its leader: the lock ends with the
 * leader, whatever its end, and nothing else. builds_claim() takes it: the descriptor, or -1 with ERR_BUSY while a leader lives.
 */
int builds_claim(const struct program *program, struct arena *arena, const char *build, struct err *err);

/* Writes the calling process into leader.pid: {"pid","start","boot"}. */
int builds_sign_in(int claim, struct err *err);

/* A pidfd of the leader that has signed in. -1: ERR_NOT_FOUND: none has (yet), or it is gone. */
int builds_leader(const struct program *program, struct arena *arena, const char *build, pid_t *pid, struct err *err);

/* Puts on disk that it is to be cancelled: a leader looks once, after it has signed in, and is sent SIGTERM after that. */
int builds_cancel(const struct program *program, struct arena *arena, const char *build, struct err *err);
bool builds_cancelled(const struct program *program, struct arena *arena, const char *build);

/* Puts on disk that its worker is to be kept when its tests have ended, however they end. */
int builds_keep(const struct program *program, struct arena *arena, const char *build, struct err *err);
bool builds_to_keep(const struct program *program, struct arena *arena, const char *build);

/* Removes a folder and what is in it; not there is fine. */
int builds_remove(const char *path, struct err *err);

#endif
