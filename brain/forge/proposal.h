/*
 * A proposal as its forge shows it, read back and parsed: the one struct that brain and land daemon
 * both compute from. Pure: bytes → struct, no clock, no I/O.
 */
#ifndef BYOCI_FORGE_PROPOSAL_H
#define BYOCI_FORGE_PROPOSAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

#define FORGE_COMMIT_SIZE 65 /* 40 or 64 hex digits and a NUL */

enum forge_state { FORGE_OPEN, FORGE_MERGED, FORGE_CLOSED };

struct forge_approval {
	const char *who;    /* principal, login */
	const char *commit; /* what it was given for; NULL: the forge does not say */
	int64_t time;       /* seconds since 1970 */
	const char *why_not;/* NULL: it may count; else why it does not (bad signature, not allowed, own proposal, …) */
};

struct forge_proposal {
	const char *name;        /* "feature-x", "12": unique in its repository */
	const char *url;         /* what people are told */
	const char *repository;  /* the target repository's identity, see forge_identity() */
	const char *target;      /* refs/heads/main */
	const char *target_tip;
	int64_t target_time;     /* committer date of the tip, seconds */
	const char *head;        /* source commit now */
	int64_t head_time;       /* its committer date, seconds */
	const char *author_name; /* of the source commit */
	const char *author_email;
	const char *proposer;    /* principal, or NULL when the record is not valid */
	const char *message;     /* commit message the proposer gave; never empty */
	const char *place;       /* where its forge has it, when the name does not say that: "~o/p/+git/r/+merge/12"; NULL */
	const char *source_repository; /* identity of where the head is; NULL: in `repository`, at refs/proposals/NAME/head */
	const char *source_ref;  /* there; NULL with source_repository */
	const char *undecided;   /* the forge shows it as approved, and can't say for which commit: why; NULL. The approver must be told. */
	int64_t undecided_time;  /* when it was approved so, seconds */
	enum forge_state state;
	const char *merge;       /* merged: the commit of the target that merged exactly the head; NULL: not known */
	int64_t rejected;        /* time of the approval under which the head was rejected, seconds; 0: it was not, or it is not known */
	struct forge_approval *approvals;
	size_t approval_count;
};

/* "ssh://user@host:22/path/sample.git/", "user@host:path/sample" → "host:22/path/sample", "host/path/sample": what records are
 * signed over. NULL: not an address. */
char *forge_identity(struct arena *arena, const char *address);

/* The address of another repository at the same host, by the same way: "ssh://user@host:22/path/sample.git" and "~ann/x" →
 * "ssh://user@host:22/~ann/x". NULL: not an address, or no path. */
char *forge_beside(struct arena *arena, const char *address, const char *path);

/* "host:22/path" → "path", a part of it; and whether two identities are at the same host. */
const char *forge_path(const char *identity);
bool forge_same_host(const char *identity, const char *other);

/* refs/heads/… and names of proposals that are safe in refs, paths and pages: [a-z0-9][a-z0-9._-]{0,62}, no "..", not ending in
 * ".lock" or ".". */
bool forge_name_valid(const char *name);
bool forge_commit_valid(const char *commit); /* 40 or 64 lower-case hex digits */

#endif
