/*
 * Acts towards the outside. A step writes the intent (calls_add); after the COMMIT of that turn the driver gives it to the
 * performer of its kind; the answer is written and told to the asking stage's inbox as kind "answer" with the call's id.
 * Acts of one lane follow each other. What was under way when the brain ended is performed again, so every act must be
 * safe to repeat with the same key.
 */
#ifndef BYOCI_CALLS_CALLS_H
#define BYOCI_CALLS_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include "calls/brain.h"
#include "forge/outcome.h"

/* One act under way; a performer's. All texts live as long as it does. */
struct calls_act {
	struct brain *brain;
	int64_t id;
	const char *kind, *lane, *key, *request;
	int64_t attempts; /* this one included */
	bool unwanted;    /* cancelled before it was begun this time: what was begun of it before is to be ended */
	void *own;        /* the performer's */
};

struct calls_performer {
	const char *kind;  /* NULL ends the table */
	unsigned at_once;  /* acts of this kind under way */
	const void *about; /* for performers that serve several kinds */
	/* Begins it. Ends by one of calls_answer, calls_again, now or later. */
	void (*begin)(struct calls_act *act, const void *about);
	/* The asker wants no more of it: it may end early, still by calls_answer. NULL: it can't. */
	void (*cancel)(struct calls_act *act);
	/* The brain ends: free `own`, answer nothing. */
	void (*drop)(struct calls_act *act);
};

/* `performers` live as long as the brain. What was under way becomes an intent again. */
int calls_init(struct brain *brain, const struct calls_performer *performers, struct err *err);
void calls_release(struct brain *brain);

/* For steps. The same kind and key again is the same call: nothing is added. *id may be NULL. */
struct calls_intent {
	const char *kind, *lane, *key, *request;
	enum stage stage;
	int64_t delay_ms;
};
int calls_add(struct brain *brain, const struct calls_intent *intent, int64_t *id, struct err *err);

/*
 * For steps: an act that was never begun is answered "cancelled"; one under way is asked to end after this turn; one that is to be begun
 * again, after trouble or a crash, is begun as unwanted, if its performer can end it. Unknown ones: nothing.
 */
int calls_cancel(struct brain *brain, const char *kind, const char *key, struct err *err);

struct calls_answer {
	const char *kind, *lane, *key, *request;
	enum outcome outcome;
	const char *text; /* raw; "" when there is none */
	int64_t made, started, ended;
};
/* For "answer" steps. 1, 0: no such call, -1. Texts are in the arena. */
int calls_get(struct brain *brain, struct arena *arena, int64_t id, struct calls_answer *answer, struct err *err);

/* By performers. The act is over and freed. */
void calls_answer(struct calls_act *act, enum outcome outcome, const char *text);
/*
 * It did not work out and is tried again: after `delay_ms` (an hour at most), or, with 0, after a time that grows from 0.5 s to a
 * minute.
 */
void calls_again(struct calls_act *act, int64_t delay_ms, const char *why);
/* Tells the asker's inbox `kind` with the call's id: something happened on the way. */
void calls_progress(struct calls_act *act, const char *kind);

/* By brain.c, in the turn: chooses what is begun after it. */
int calls_pick(struct calls *calls, struct err *err);
/* By brain.c, after the COMMIT: begins it; after a failed one: forgets the choice. */
void calls_begin(struct calls *calls, bool kept);

/* Acts of a kind that are under way. */
unsigned calls_running(const struct calls *calls, const char *kind);

#endif
