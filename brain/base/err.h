/*
 * The one error object. A function that can fail takes `struct err *` last and
 * returns -1 (or NULL); the caller adds what it was doing with err_wrap() and
 * passes it on; whoever handles it logs it once. A function that succeeds
 * leaves it untouched. Never NULL, never shared between threads.
 */
#ifndef BYOCI_BASE_ERR_H
#define BYOCI_BASE_ERR_H

enum err_kind {
	ERR_NONE = 0,
	ERR_USAGE,     /* the person asked for something that does not exist */
	ERR_CONFIG,    /* the configuration is wrong: file, section, line are in the text */
	ERR_SYSTEM,    /* a system call failed; `number` is its errno */
	ERR_INPUT,     /* bytes from outside are not what they must be */
	ERR_REFUSED,   /* understood and not allowed */
	ERR_NOT_FOUND,
	ERR_CONFLICT,  /* a merge conflicts */
	ERR_MOVED,     /* what was decided on has changed since */
	ERR_BUSY,      /* try again later */
	ERR_FULL,      /* no space, or a limit is reached */
	ERR_TIMEOUT,
	ERR_NETWORK    /* the other side is out of reach */
};

struct err {
	enum err_kind kind;
	int number; /* errno, or 0 */
	int wait;   /* seconds that the other side asked to be left alone for; 0: it did not say */
	char text[1024];
};

/* Makes *err empty. */
void err_clear(struct err *err);

/* Sets kind and text (cut at the size of `text`). Returns -1, so that `return err_set(…)` reads well. */
int err_set(struct err *err, enum err_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As err_set with ERR_SYSTEM (ERR_FULL for ENOSPC and EDQUOT); ": " and the words for `number` are added. Returns -1. */
int err_set_errno(struct err *err, int number, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "format: " before the text that is there; kind and number stay. Returns -1. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends the process (abort) with a line on standard error: no memory, and mistakes of ours. Never for what came from outside. */
void err_fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
