#include "conf/value.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#define NAME_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
#define DECIMAL "0123456789"

struct unit {
	const char *name;
	int64_t factor;
};

/* One text being checked against its row. */
struct check {
	struct arena *arena;
	const struct option *option;
	const char *text;
	int64_t number; /* that it is */
	const char *right; /* what would be, when it is wrong */
};

static const struct unit durations[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit sizes[] = {
	{"", 1},
	{"K", 1 << 10},
	{"k", 1 << 10},
	{"M", 1 << 20},
	{"G", 1 << 30},
	{"T", INT64_C(1) << 40},
	{NULL, 0},
};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};

bool value_is_name(const char *text, size_t length)
{
	if (length < 1 || length > 63 || text[0] == '\0' || !strchr(NAME_DIGITS, text[0]))
		return false;
	return strspn(text, NAME_DIGITS "._-") >= length;
}

bool value_is_namespace(const char *text, size_t length)
{
	if (length < 1 || length > 16 || text[0] < 'a' || text[0] > 'z' || strspn(text, NAME_DIGITS) < length)
		return false;
	return !option_reserves(text, length);
}

/* Digits and a unit, nothing else; false when it is another text or too large. */
static bool measure(const char *text, const struct unit *units, int64_t *number)
{
	size_t digits = strspn(text, DECIMAL);
	int64_t value = 0;

	if (digits < 1 || digits > 18)
		return false;
	*number = 0;
	if (strcmp(text, "0") == 0) /* of whatever */
		return true;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (text[i] - '0');
	for (; units->name; units++)
		if (strcmp(units->name, text + digits) == 0)
			return !__builtin_mul_overflow(value, units->factor, number);
	return false;
}

/* 90000 -> "90s": the largest unit without a rest. */
static const char *say(struct arena *arena, const struct unit *units, int64_t number)
{
	const struct unit *best = units;

	for (; units->name; units++)
		if (number % units->factor == 0 && number >= units->factor)
			best = units;
	return arena_printf(arena, "%" PRId64 "%s", number / best->factor, best->name);
}

static const struct {
	const struct unit *units;
	const char *what;
} numbers[] = {
	[OPTION_INTEGER] = {plain, "a whole number"},
	[OPTION_DURATION] = {durations, "a duration like 250ms, 30s, 10m, 2h, 1d"},
	[OPTION_SIZE] = {sizes, "a size like 64k, 512M, 2G"},
};

static const char *check_number(struct check *check)
{
	const struct option *option = check->option;
	const struct unit *units = numbers[option->type].units;
	bool any = !option->minimum && !option->maximum;
	const char *least, *most;

	if (measure(check->text, units, &check->number) &&
		(any || (check->number >= option->minimum && check->number <= option->maximum)))
		return check->text;
	least = say(check->arena, units, option->minimum);
	most = say(check->arena, units, option->maximum);
	check->right = numbers[option->type].what;
	if (!any)
		check->right = arena_printf(check->arena, "%s, from %s to %s", check->right, least, most);
	return NULL;
}

static const char *check_boolean(struct check *check)
{
	check->right = "yes or no";
	check->number = strcmp(check->text, "yes") == 0;
	return check->number || strcmp(check->text, "no") == 0 ? check->text : NULL;
}

/* Text for people, commands and names: no control character could be meant. */
static bool is_clean(const char *text)
{
	for (; *text; text++)
		if (((unsigned char)*text < ' ' && *text != '\t') || *text == '\x7f')
			return false;
	return true;
}

static const char *check_text(struct check *check)
{
	check->right = "a text without control characters";
	return is_clean(check->text) ? check->text : NULL;
}

static const char *check_name(struct check *check)
{
	check->right = "a name: up to 63 of a-z 0-9 . _ -, the first a letter or digit";
	return value_is_name(check->text, strlen(check->text)) ? check->text : NULL;
}

static bool is_path(const char *text)
{
	size_t length = strlen(text);

	if (text[0] != '/' || length > 4000 || !is_clean(text) || strstr(text, "/../"))
		return false;
	return length < 3 || strcmp(text + length - 3, "/..") != 0;
}

static const char *check_path(struct check *check)
{
	check->right = "a path that begins with / and has no /../";
	return is_path(check->text) ? check->text : NULL;
}

static bool is_port(const char *text)
{
	int64_t port = 0;

	return measure(text, plain, &port) && port >= 1 && port <= 65535 && text[0] != '0';
}

static bool is_address(const char *text)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN];
	unsigned char address[16];
	size_t length = colon ? (size_t)(colon - text) : 0;
	bool bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';

	if (!length || !is_port(colon + 1))
		return false;
	if (bracketed) {
		text++;
		length -= 2;
	}
	if (length >= sizeof host)
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	if (bracketed)
		return inet_pton(AF_INET6, host, address) == 1;
	return strcmp(host, "localhost") == 0 || inet_pton(AF_INET, host, address) == 1;
}

static const char *check_address(struct check *check)
{
	check->right = "HOST:PORT with a numeric host or localhost: 127.0.0.1:8810, [::1]:8810";
	return is_address(check->text) ? check->text : NULL;
}

/* A password would be read by everybody who may read the configuration. */
static bool has_password(const char *authority)
{
	const char *end = authority + strcspn(authority, "/?#");
	const char *colon = memchr(authority, ':', (size_t)(end - authority));
	const char *at = memrchr(authority, '@', (size_t)(end - authority));

	return colon && at && colon < at;
}

static const char *check_url(struct check *check)
{
	const char *text = check->text;
	static const char *const schemes[] = {"https://", "http://", "ssh://", "git://", "file:///"};

	check->right = "an address that begins with https://, http://, ssh://, git:// or file:///, without blanks";
	if (!is_clean(text) || strpbrk(text, " \t\"'\\"))
		return NULL;
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
		size_t length = strlen(schemes[i]);

		if (strncmp(text, schemes[i], length) != 0 || !text[length] || text[length] == '-')
			continue;
		check->right = "an address without a password: this file is no place for one";
		return has_password(text + length) ? NULL : text;
	}
	return NULL;
}

static const char *check_place(struct check *check)
{
	if (is_path(check->text) || check_url(check))
		return check->text;
	if (check->text[0] == '/' || !strstr(check->text, "://"))
		check->right = "a path that begins with / and has no /../, or an address like ssh://…";
	return NULL;
}

static const char *check_choice(struct check *check)
{
	size_t length = strlen(check->text);

	for (const char *choice = check->option->choices; *choice; choice += strcspn(choice, "|"), choice += *choice == '|')
		if (strcspn(choice, "|") == length && memcmp(choice, check->text, length) == 0)
			return check->text;
	check->right = arena_printf(check->arena, "one of %s", check->option->choices);
	return NULL;
}

/* The branch in full: "main" -> "refs/heads/main"; NULL when git would not have it (git-check-ref-format(1)). */
static const char *ref_of(struct arena *arena, const char *text)
{
	static const char heads[] = "refs/heads/";
	const char *name = strncmp(text, heads, sizeof heads - 1) == 0 ? text + sizeof heads - 1 : text;
	size_t length = strlen(name);

	if (!length || length > 200 || strncmp(name, "refs/", 5) == 0 || strpbrk(name, " \t~^:?*[\\\x7f") || !is_clean(name))
		return NULL;
	if (strchr("/.-", name[0]) || strchr("/.", name[length - 1]) || strcmp(name, "@") == 0)
		return NULL;
	if (strstr(name, "..") || strstr(name, "//") || strstr(name, "/.") || strstr(name, "@{"))
		return NULL;
	for (const char *part = name; *part; part += *part == '/') {
		size_t end = strcspn(part, "/");

		if (end >= 5 && memcmp(part + end - 5, ".lock", 5) == 0)
			return NULL;
		part += end;
	}
	return arena_printf(arena, "%s%s", heads, name);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* One of NAMES: as a NAME, and '+' as in Debian's package names (g++). */
static const char *item_name(struct arena *arena, const char *text)
{
	(void)arena;
	if (strlen(text) > 63 || !*text || !strchr(NAME_DIGITS, text[0]))
		return NULL;
	return text[strspn(text, NAME_DIGITS "._+-")] == '\0' ? text : NULL;
}

static const char *item_text(struct arena *arena, const char *text)
{
	(void)arena;
	return *text && is_clean(text) ? text : NULL;
}

typedef const char *item_fn(struct arena *arena, const char *text);

/* Each part, trimmed and checked; joined again by plain commas. */
static const char *check_items(struct check *check, item_fn *call)
{
	const char *joined = NULL;

	for (const char *part = check->text; part;) {
		size_t length = strcspn(part, ",");
		const char *next = part[length] ? part + length + 1 : NULL;
		const char *item;

		for (; length && is_blank(*part); part++)
			length--;
		while (length && is_blank(part[length - 1]))
			length--;
		item = call(check->arena, arena_memdup(check->arena, part, length));
		if (!item)
			return NULL;
		joined = joined ? arena_printf(check->arena, "%s,%s", joined, item) : item;
		part = next;
	}
	return joined;
}

static const char *check_names(struct check *check)
{
	check->right = "names with commas between them, each up to 63 of a-z 0-9 . _ + -, the first a letter or digit";
	return check_items(check, item_name);
}

static const char *check_list(struct check *check)
{
	check->right = "texts with commas between them, none of them empty";
	return check_items(check, item_text);
}

static const char *check_refs(struct check *check)
{
	check->right = "branches with commas between them: main, refs/heads/stable";
	return check_items(check, ref_of);
}

typedef const char *check_fn(struct check *check);

static check_fn *const checks[] = {
	[OPTION_TEXT] = check_text,
	[OPTION_NAME] = check_name,
	[OPTION_NAMES] = check_names,
	[OPTION_LIST] = check_list,
	[OPTION_INTEGER] = check_number,
	[OPTION_BOOLEAN] = check_boolean,
	[OPTION_DURATION] = check_number,
	[OPTION_SIZE] = check_number,
	[OPTION_PATH] = check_path,
	[OPTION_ADDRESS] = check_address,
	[OPTION_URL] = check_url,
	[OPTION_PLACE] = check_place,
	[OPTION_REFS] = check_refs,
	[OPTION_CHOICE] = check_choice,
};

const char *value_check(struct arena *arena, const struct option *option, const char *text, int64_t *number, const char **right)
{
	struct check check = {.arena = arena, .option = option, .text = text};
	const char *value = checks[option->type](&check);

	*number = value ? check.number : 0;
	if (!value)
		*right = check.right;
	return value;
}

const char *const *value_split(struct arena *arena, const char *text)
{
	size_t count = 0, i = 0;
	const char **parts;

	for (const char *c = text; c && *c; c++)
		count += *c == ',';
	parts = arena_alloc(arena, (count + 2) * sizeof *parts);
	while (text && *text) {
		size_t length = strcspn(text, ",");

		parts[i++] = arena_memdup(arena, text, length);
		text += length + (text[length] == ',');
	}
	return parts;
}
