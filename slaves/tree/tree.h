/*
 * One project's clone on a host: a bare repository that only we write to, in which merges are made. Nothing in it or fetched into
 * it changes how git works: attributes are switched off in $GIT_DIR/info/attributes, which wins over every other file of
 * attributes (gitattributes(5)), every option that git merge-tree reads is given, objects are checked as they arrive. So the
 * same parents give the same merge everywhere (promise 4). It is a cache: it can be removed at any time.
 */
#ifndef BYOCI_SLAVES_TREE_H
#define BYOCI_SLAVES_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "slaves/tree/git.h"

#define TREE_ID_SIZE GIT_ID_SIZE

struct tree;

struct tree_from {
	const char *folder;  /* where clones are kept; FOLDER/PROJECT.git is made when it is not there */
	const char *project;
	const char *url;     /* path or URL to fetch from */
	const char *ssh_key; /* may be NULL */
	/*
	 * NULL: the clone is this process' alone. Else it is shared with others that say another word here, which the refs of what is
	 * fetched are named with; only what makes the clone, or makes it anew, is then done alone.
	 */
	const char *shared;
};

/*
 * Waits up to `TREE_LOCK_MS` for who has it open now, then ERR_BUSY. tree_free() lets go; so does the process' end, whatever end
 * that is.
 */
#define TREE_LOCK_MS (10 * 60 * 1000)
struct tree *tree_open(const struct conf *conf, const struct tree_from *from, struct err *err);
void tree_free(struct tree *tree);

/* For what only one caller needs. */
const struct git *tree_git(const struct tree *tree);

/* What to fetch. */
struct tree_want {
	const char *remote;        /* "refs/heads/main" */
	char commit[TREE_ID_SIZE]; /* set by tree_fetch: what it is now; "" when the other side has no such ref */
	char tree[TREE_ID_SIZE];   /* the commit's */
};

/*
 * Fetches exactly these refs, nothing they lead to (no tags, no submodules). ERR_NETWORK: out of reach; ERR_REFUSED: the other
 * side has objects that git fsck calls errors. A clone that is broken is made anew, once.
 */
int tree_fetch(struct tree *tree, struct tree_want *wants, size_t count, struct err *err);

/* The same from another repository, `url`: one ref that takes the place of what was fetched so before. */
int tree_fetch_from(struct tree *tree, const char *url, struct tree_want *want, struct err *err);

/* Whether `ancestor` is `descendant` or an ancestor of it. A commit that is not here is ERR_NOT_FOUND. */
int tree_descends(struct tree *tree, const char *ancestor, const char *descendant, bool *descends, struct err *err);

struct tree_merge {
	const char *base, *source;      /* commits; the first and the second parent */
	const char *message;
	const char *author, *mail;      /* of author and committer */
	int64_t date;                   /* seconds since 1970, of author and committer, written as +0000 */
};

struct tree_merged {
	char commit[TREE_ID_SIZE];
	char tree[TREE_ID_SIZE];
	const char *conflicts; /* in the arena: one line for each conflict, with newlines; NULL: none */
};

/* Always makes a merge commit. ERR_CONFLICT: does not merge; the text names some of the files, `conflicts` has all. Bound to no ref. */
int tree_merge(struct tree *tree, struct arena *arena, const struct tree_merge *merge, struct tree_merged *merged, struct err *err);

/*
 * The merge of the last of what the next fetch brings into the first, begun before their objects are here where they can be read elsewhere:
 * said before the fetch, and the tree asked for after it. Nothing of it is to be believed before tree_whole() said that all of what was
 * fetched is here. tree_keep(), for which nobody waits, keeps that for the next fetch, or fetches it again when it can't. Bound to no
 * commit: tree_commit_begin() and tree_merge_end() make the one that tree_merge() would have made of the same.
 */
void tree_expect_wants(struct tree *tree);
int tree_merge_wants(struct tree *tree, struct arena *arena, struct tree_merged *merged, struct err *err);
int tree_whole(struct tree *tree, struct err *err);
void tree_keep(struct tree *tree);
int tree_commit_begin(struct tree *tree, struct arena *arena, const struct tree_merge *merge, const char *id, struct err *err);

/*
 * The same in two parts: after the first one `merged->tree` is there, while the commit is still being written. Before the next fetch,
 * tree_expect() says which merge will be asked for, so that it is made while the ids of what was fetched are read.
 */
void tree_expect(struct tree *tree, const char *base, const char *source);
int tree_merge_begin(struct tree *tree, struct arena *arena, const struct tree_merge *merge, struct tree_merged *merged, struct err *err);
int tree_merge_end(struct tree *tree, struct arena *arena, struct tree_merged *merged, struct err *err);

#endif
