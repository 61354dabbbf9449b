/*
 * What `byoci jenkins sync` made on a master: the list of its last run, in the namespace's state. Only what stands in it is ever
 * deleted there. A row is written before anything is made (made: false) and once more when it is there, so a run that was killed leaves
 * no job that nobody knows, and claims none that somebody else made. And what is to be done about a job, decided from that alone.
 */
#ifndef BYOCI_JOBS_JENKINS_LIST_H
#define BYOCI_JOBS_JENKINS_LIST_H

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "conf/conf.h"
#include "master/site.h"

struct jenkins_list {
	const char *path;
	json_t *rows; /* {"job NAME" or "view NAME": {made, wanted, seen}} */
	json_t *nodes; /* {NAME: true}: of our slaves, which are ours when they say so */
};

struct jenkins_row {
	bool made;
	const char *wanted; /* the form that the templates gave; "" */
	const char *seen;   /* the form that the master had afterwards: it may write it otherwise; "" */
};

/*
 * The folder of lists is made, its path is in *folder, and nobody else is at work on them until the descriptor is closed. -1: ERR_BUSY when
 * somebody is.
 */
int jenkins_list_lock(const struct conf *conf, struct arena *arena, const char **folder, struct err *err);

/* That of this master and folder, in `folder`. Not there: empty. Texts are in the arena. -1: nothing is to be released. */
int jenkins_list_load(struct jenkins_list *list, struct arena *arena, const char *folder, const struct site *site, struct err *err);
int jenkins_list_save(const struct jenkins_list *list, struct err *err);
void jenkins_list_release(struct jenkins_list *list);

/* False: there is none. Texts belong to the list until the row changes. */
bool jenkins_list_row(const struct jenkins_list *list, const char *name, bool view, struct jenkins_row *row);
/* NULL takes it out. */
void jenkins_list_set(struct jenkins_list *list, const char *name, bool view, const struct jenkins_row *row);

/* Takes it in, or out. */
void jenkins_list_set_node(struct jenkins_list *list, const char *name, bool in);

enum jenkins_act {
	JENKINS_KEEP,   /* as wanted */
	JENKINS_CREATE,
	JENKINS_CHANGE,
	JENKINS_DELETE,
	JENKINS_FORGET, /* neither wanted nor there */
	JENKINS_LEAVE,  /* not wanted, and not ours any more */
	JENKINS_REFUSE  /* wanted, but somebody else's */
};

/* The master's, now. */
struct jenkins_sight {
	bool there;
	bool marked; /* it says that it is ours */
	const char *form;
};

/* `wanted` NULL: not wanted. `row` NULL: not in the list. `prefixed`: its name begins as ours do. */
enum jenkins_act jenkins_list_act(const char *wanted, const struct jenkins_row *row, const struct jenkins_sight *sight, bool prefixed);

#endif
