#include "slaves/test/clone.h"

#include <sys/stat.h>

struct tree *clone_open(const struct program *program, const char *project, const char *word, struct err *err)
{
	struct stat st;
	const char *folder = program_state(program, "slave/trees", err);
	const char *url = folder ? program_section_option(program, "project", project, "repository.read", err) : NULL;
	const char *key = url ? program_secret(program, "slave/id_ed25519", err) : NULL;

	if (!key)
		return NULL;
	const struct tree_from from = {
		.folder = folder, .project = project, .url = url, .ssh_key = stat(key, &st) == 0 ? key : NULL, .shared = word};
	return tree_open(program->conf, &from, err);
}
