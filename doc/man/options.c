/* The part of byov.conf(5) that is made from the option table: each option with what it takes and its default. For the Makefile. */
#include <stdio.h>

#include "base/arena.h"
#include "conf/option.h"
#include "conf/value.h"

struct chapter {
	enum option_kind kind;
	const char *title, *about;
};

static const struct chapter chapters[] = {
	{OPTION_NAMESPACE, "Of a namespace", "In\n.Ql [NAMESPACE]\nby their plain names, or with a prefix, see above."},
	{OPTION_PROJECT, "Of [project/NAME]", "A repository with gated branches."},
	{OPTION_JOB, "Of [job/NAME]", "What is run on a merge before it lands."},
	{OPTION_BACKING, "Of [backing/NAME]", "The root file system that throwaway containers are made from.\n"
		"A change of any of its options makes another one, beside the old."},
	{OPTION_ACCOUNT, "Of [account/NAME]", "A connection to a forge.\nThere is always one that is called git, for plain repositories."},
	{OPTION_SLAVE, "Of [slave/NAME]", "A host that a master runs builds on; NAME is its slave.name."},
	{OPTION_MASTER, "Of [master/NAME]", "A further Jenkins or Hudson, beside the namespace's own, for jobs that name it."},
};

/* As roff takes it for text; in a macro's argument also within quotes. */
static void print_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '"')
			fputs("\\(dq", stdout);
		else
			putchar(*text);
	}
}

/* A sentence on each line of the source, none of which roff may take for a request. */
static void print_line(const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", stdout);
	print_text(text);
	putchar('\n');
}

/* What would be right, in the words of the parser's own message about a value that is not. */
static const char *right_of(struct arena *arena, const struct option *option)
{
	const char *right = "";
	int64_t number;

	value_check(arena, option, "\001", &number, &right);
	return right;
}

static void print_option(struct arena *arena, const struct option *option)
{
	fputs(".It Cm ", stdout);
	print_line(option->name);
	print_line(option->text);
	fputs("Value: ", stdout);
	print_text(right_of(arena, option));
	fputs(".\n", stdout);
	if (option->fallback) {
		fputs("Default:\n.Ql \"", stdout);
		print_text(option->fallback);
		fputs("\" .\n", stdout);
	} else {
		puts(option->mandatory ? "It must be set." : "It has no default.");
	}
}

static void print_chapter(struct arena *arena, const struct chapter *chapter)
{
	printf(".Ss %s\n%s\n.Bl -tag -width Ds\n", chapter->title, chapter->about);
	for (unsigned i = 0; i < option_count; i++)
		if (option_table[i].kind == chapter->kind)
			print_option(arena, &option_table[i]);
	puts(".El");
}

int main(void)
{
	struct arena *arena = arena_new();

	for (size_t i = 0; i < sizeof chapters / sizeof chapters[0]; i++)
		print_chapter(arena, &chapters[i]);
	arena_free(arena);
	return fflush(stdout) == 0 ? 0 : 1;
}
