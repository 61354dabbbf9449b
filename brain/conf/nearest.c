#include "conf/nearest.h"

#include <string.h>

#define LONGEST 63

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Insertions, deletions, changes and swapped neighbours: optimal string alignment. */
static unsigned distance_of(const char *one, const char *other)
{
	size_t n = strlen(one), m = strlen(other);
	unsigned rows[LONGEST + 1][LONGEST + 1];

	if (n > LONGEST || m > LONGEST)
		return LONGEST;
	for (unsigned j = 0; j <= m; j++)
		rows[0][j] = j;
	for (unsigned i = 1; i <= n; i++) {
		rows[i][0] = i;
		for (unsigned j = 1; j <= m; j++) {
			unsigned change = one[i - 1] != other[j - 1];

			rows[i][j] = least(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + change);
			if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1])
				rows[i][j] = least(rows[i][j], rows[i - 2][j - 2] + change, rows[i][j]);
		}
	}
	return rows[n][m];
}

struct nearest nearest_to(const char *wanted)
{
	unsigned third = (unsigned)(strlen(wanted) / 3);

	return (struct nearest){.wanted = wanted, .distance = (third > 2 ? third : 2) + 1};
}

void nearest_try(struct nearest *nearest, const char *known)
{
	unsigned distance = distance_of(nearest->wanted, known);

	if (distance >= nearest->distance)
		return;
	nearest->distance = distance;
	nearest->best = known;
}
