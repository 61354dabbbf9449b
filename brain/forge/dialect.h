/*
 * One row a forge: how its hooks are signed and named, and the pure functions that read its bytes.
 * A dialect without `event` is stored and decided "not read yet".
 * Sources of the signature rules: GitHub docs "Validating webhook deliveries"; Gitea services/webhook/deliver.go;
 * GitLab "Webhooks" (X-Gitlab-Token); Launchpad lp/services/webhooks/client.py.
 */
#ifndef BYOCI_FORGE_DIALECT_H
#define BYOCI_FORGE_DIALECT_H

#include <stdbool.h>

#include "forge/proposal.h"

struct dialect_signature {
	const char *header;  /* "X-Hub-Signature-256" */
	const char *digest;  /* "SHA256"; NULL: the header is the secret itself, compared in constant time */
	const char *prefix;  /* "sha256=", or "" */
};

/* What a verified delivery tells us to look at. It is a hint: state is read back from the forge. */
struct dialect_event {
	const char *repository; /* NULL: none (a ping) */
	const char *const *proposals; /* names to read back; NULL-ended */
	const char *const *targets;   /* refs that moved; NULL-ended */
	const char *const *places;    /* of each of the proposals, as forge_proposal.place; NULL: their names say it */
	const char *const *pushed;    /* those of the proposals that have another commit now; NULL-ended; NULL: it does not say */
};

struct dialect {
	const char *name; /* "git", the word in /hook/NAME */
	struct dialect_signature signature;
	const char *event_header, *delivery_header;
	const char *ping;  /* value of the event header that is a ping; NULL: none */
	/* Verbs of `byoci` that speak to it. NULL: none. */
	const char *reader; /* VERB --project P NAME|PLACE, or --list: prints what .proposal() parses */
	const char *anew;   /* option of the reader: use nothing that was remembered from earlier; NULL: it never does */
	const char *teller; /* VERB --project P NAME|PLACE: a report in JSON on standard input; NULL: it is pushed as a ref */
	bool serves;        /* the reader can stay, and be asked over its standard input: --serve */
	bool by_token;      /* the reader needs a token, which of a slave's users the landing daemon's alone has */
	bool by_name;       /* an event's repository is the path of it alone, without a host: option launchpad.name */
	/* Texts in the arena. ERR_INPUT: not understood (the delivery stays stored). NULL: not read yet. */
	int (*event)(
		struct arena *arena, const char *kind, const void *body, size_t length, struct dialect_event *event, struct err *err);
	/* Parses what reading the proposal back gave. NULL: not read yet. */
	int (*proposal)(struct arena *arena, const void *reply, size_t length, struct forge_proposal *proposal, struct err *err);
};

extern const struct dialect dialect_table[];
extern const unsigned dialect_count;
const struct dialect *dialect_find(const char *name); /* NULL: unknown */

#endif
