#include "forge/launchpad.h"

#include <string.h>
#include <time.h>

#define MERGE "/+merge/"
#define TEXT_MAXIMUM 1024 /* bytes of a path, an address, a ref */
#define NUMBER_MAXIMUM 18 /* digits of a proposal's number */

bool launchpad_name_valid(const char *name)
{
	static const char signs[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-_~";
	size_t length = strlen(name);

	if (length == 0 || length > TEXT_MAXIMUM)
		return false;
	for (;;) {
		size_t part = strspn(name, signs);

		if (part == 0 || (part <= 2 && strspn(name, ".") >= part))
			return false;
		if (name[part] != '/')
			return name[part] == '\0';
		name += part + 1;
	}
}

static bool number_valid(const char *number)
{
	size_t length = strspn(number, "0123456789");

	return length > 0 && length <= NUMBER_MAXIMUM && number[length] == '\0' && number[0] != '0';
}

bool launchpad_ref_valid(const char *ref, const char *prefix)
{
	size_t length = strlen(ref);

	if (length > TEXT_MAXIMUM || strncmp(ref, prefix, strlen(prefix)) != 0 || length == strlen(prefix))
		return false;
	for (const char *at = ref; *at; at++)
		if ((unsigned char)*at <= ' ' || *at == 0x7f || strchr("~^:?*[\\", *at))
			return false;
	return !strstr(ref, "..") && !strstr(ref, "//") && !strstr(ref, "@{") && ref[length - 1] != '/';
}

const char *launchpad_number_of(const char *place)
{
	const char *at = strstr(place, MERGE);

	if (!at || at == place || !launchpad_name_valid(place) || !number_valid(at + strlen(MERGE)))
		return NULL;
	return at + strlen(MERGE);
}

char *launchpad_place(struct arena *arena, const char *source, const char *number)
{
	return arena_printf(arena, "%s" MERGE "%s", source, number);
}

const char *launchpad_below_root(const char *link)
{
	const char *at = strstr(link, "://");

	if (!at || strlen(link) > TEXT_MAXIMUM)
		return NULL;
	for (int slashes = 0; slashes < 2; slashes++) {
		at = strchr(slashes ? at + 1 : at + 3, '/');
		if (!at)
			return NULL;
	}
	return launchpad_name_valid(at + 1) ? at + 1 : NULL;
}

/* Exactly `count` digits at *at, which is moved; -1: not so many. */
static int64_t digits(const char **at, int count)
{
	int64_t number = 0;

	for (; count > 0; count--, (*at)++) {
		if (**at < '0' || **at > '9')
			return -1;
		number = number * 10 + (**at - '0');
	}
	return number;
}

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t days_in(int64_t year, int64_t month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1970-01-01 in the Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t past = year - 1, days = past * 365 + past / 4 - past / 100 + past / 400 + day - 1 - 719162;

	for (int64_t before = 1; before < month; before++)
		days += days_in(year, before);
	return days;
}

int64_t launchpad_time(const char *text)
{
	int64_t field[6], fraction = 0;
	static const char after[] = {'-', '-', 'T', ':', ':', '\0'};
	static const int64_t least[] = {1970, 1, 1, 0, 0, 0}, most[] = {9999, 12, 31, 23, 59, 60};

	for (int i = 0; i < 6; i++) {
		field[i] = digits(&text, i == 0 ? 4 : 2);
		if (field[i] < least[i] || field[i] > most[i] || (after[i] && *text++ != after[i]))
			return -1;
	}
	if (field[2] > days_in(field[0], field[1]))
		return -1;
	if (*text == '.') {
		size_t length = strspn(++text, "0123456789");

		if (length == 0 || length > 6)
			return -1;
		fraction = digits(&text, (int)length);
		for (; length < 6; length++)
			fraction *= 10;
	}
	if (strcmp(text, "+00:00") != 0 && strcmp(text, "Z") != 0)
		return -1;
	return (((days_of(field[0], field[1], field[2]) * 24 + field[3]) * 60 + field[4]) * 60 + field[5]) * 1000000 + fraction;
}

/* Seconds since 1970; -1: not a date. Names of days and months are English: no program of ours sets a locale. */
static int64_t http_date(const char *text)
{
	static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"};

	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		struct tm tm = {.tm_year = 0};
		const char *end = strptime(text, forms[i], &tm);

		if (end && !*end)
			return timegm(&tm);
	}
	return -1;
}

int launchpad_wait(const char *text, int64_t now)
{
	size_t length = strspn(text, "0123456789");
	int64_t seconds = 0;

	if (length > 0 && text[length] == '\0')
		seconds = length > 9 ? LAUNCHPAD_WAIT_MAXIMUM : digits(&text, (int)length);
	else if (length == 0)
		seconds = http_date(text) - now;
	return seconds <= 0 ? 0 : seconds > LAUNCHPAD_WAIT_MAXIMUM ? LAUNCHPAD_WAIT_MAXIMUM : (int)seconds;
}
