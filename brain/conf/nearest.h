/* "Did you mean …?": the known name that is fewest typing mistakes away. */
#ifndef BYOCI_CONF_NEAREST_H
#define BYOCI_CONF_NEAREST_H

struct nearest {
	const char *wanted;
	const char *best; /* borrowed from nearest_try(); NULL: none was near enough (a third of the letters, and two at least) */
	unsigned distance;
};

struct nearest nearest_to(const char *wanted);
void nearest_try(struct nearest *nearest, const char *known);

#endif
