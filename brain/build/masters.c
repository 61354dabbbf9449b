#include "build/masters.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct entry {
	struct masters_one one; /* first: it is what is taken */
	LIST_ENTRY(entry) link;
	char *name;
	bool stale;
};

struct masters {
	struct brain *brain;
	LIST_HEAD(, entry) entries;
};

struct masters *masters_new(struct brain *brain)
{
	struct masters *masters = calloc(1, sizeof *masters);

	if (!masters)
		err_fatal("out of memory");
	masters->brain = brain;
	LIST_INIT(&masters->entries);
	return masters;
}

static void free_entry(struct entry *entry)
{
	LIST_REMOVE(entry, link);
	lookup_free(entry->one.lookup);
	master_free(entry->one.master);
	free(entry->name);
	free(entry);
}

void masters_free(struct masters *masters)
{
	if (!masters)
		return;
	while (!LIST_EMPTY(&masters->entries))
		free_entry(LIST_FIRST(&masters->entries));
	free(masters);
}

void masters_renew(struct masters *masters)
{
	struct entry *entry;

	LIST_FOREACH(entry, &masters->entries, link) entry->stale = true;
}

/* Those that nobody takes any more. Not when they are given back: that may be in the middle of a callback of theirs. */
static void sweep(struct masters *masters)
{
	struct entry *entry, *next;

	for (entry = LIST_FIRST(&masters->entries); entry; entry = next) {
		next = LIST_NEXT(entry, link);
		if (entry->stale && entry->one.users == 0 && master_busy(entry->one.master) == 0)
			free_entry(entry);
	}
}

static struct entry *make(struct masters *masters, const char *name, struct err *err)
{
	struct arena *arena = arena_new();
	struct entry *entry = NULL;
	struct master *master = NULL;
	struct site site;
	int found = site_load(masters->brain->conf, arena, name, &site, err);

	if (found > 0)
		master = master_new(&site, masters->brain->loop, err);
	else if (found == 0)
		err_set(err, ERR_CONFIG, "master.url: not set any more");
	if (master) {
		entry = calloc(1, sizeof *entry);
		if (!entry || !(entry->name = strdup(name)))
			err_fatal("out of memory");
		entry->one = (struct masters_one){.master = master, .lookup = lookup_new(master, masters->brain->loop)};
		LIST_INSERT_HEAD(&masters->entries, entry, link);
	}
	arena_free(arena);
	return entry;
}

struct masters_one *masters_take(struct masters *masters, const char *name, struct err *err)
{
	struct entry *entry;

	sweep(masters);
	LIST_FOREACH(entry, &masters->entries, link)
		if (!entry->stale && strcmp(entry->name, name) == 0)
			break;
	if (!entry)
		entry = make(masters, name, err);
	if (!entry)
		return NULL;
	entry->one.users++;
	return &entry->one;
}

void masters_give(struct masters_one *one)
{
	one->users--;
}
