#include "git/signer.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "forge/proposal.h"

static const char *home(void)
{
	const char *folder = getenv("HOME");

	return folder && folder[0] == '/' ? folder : "/nonexistent";
}

/* Git's user.signingkey when it is a file: "~/.ssh/id_ed25519.pub". */
static const char *git_key(struct arena *arena, const struct repo *own)
{
	const struct repo_call call = {.arguments = REPO_ARGUMENTS("config", "--get", "--type=path", "user.signingkey")};
	struct err ignored;
	char *key = own ? repo_text(own, arena, &call, NULL, &ignored) : NULL;

	return key && key[0] == '/' && access(key, R_OK) == 0 ? key : NULL;
}

static const char *ssh_key(struct arena *arena)
{
	static const char *const names[] = {"id_ed25519", "id_ecdsa", "id_rsa"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *key = arena_printf(arena, "%s/.ssh/%s", home(), names[i]);

		if (access(key, R_OK) == 0)
			return key;
	}
	return NULL;
}

const char *signer_key(struct arena *arena, const struct repo *own, const char *key, struct err *err)
{
	const char *found = key ? key : git_key(arena, own);
	char *absolute;

	if (!found)
		found = ssh_key(arena);
	if (!found) {
		err_set(err, ERR_USAGE,
			"no ssh key in %s/.ssh, and git has no user.signingkey: say which with -k KEY, or make one: ssh-keygen -t ed25519",
			home());
		return NULL;
	}
	absolute = realpath(found, NULL);
	if (!absolute) {
		err_set_errno(err, errno, "the key %s", found);
		return NULL;
	}
	found = arena_strdup(arena, absolute);
	free(absolute);
	return found;
}

int signer_ssh(const struct conf *conf, struct arena *arena, struct repo *repo, const char *given, struct err *err)
{
	const char *config, *slash, *command = getenv("GIT_SSH_COMMAND");
	char *key;
	int done;

	if (given) {
		key = realpath(given, NULL);
		if (!key)
			return err_set_errno(err, errno, "the key %s", given);
		done = repo_ssh(repo, conf, key, err);
		free(key);
		return done;
	}
	if (conf_text(conf, NULL, "git.config", &config, err) < 0)
		return -1;
	slash = strrchr(config, '/');
	repo_environment(repo, "GIT_SSH_COMMAND",
		arena_printf(arena, "%s -o BatchMode=yes -o GlobalKnownHostsFile=%.*s/known_hosts", command && *command ? command : "ssh",
			(int)(slash - config), config));
	repo_environment(repo, "HOME", home());
	for (const char *const *name = (const char *const[]){"SSH_AUTH_SOCK", "USER", NULL}; *name; name++)
		if (getenv(*name))
			repo_environment(repo, *name, getenv(*name));
	return 0;
}

/* The blob with the signed record, put into the repository: its object id. */
static char *store_record(struct arena *arena, const struct signer_push *push, char id[static RECORD_ID_SIZE], struct err *err)
{
	const char *payload = record_payload(arena, push->record, err);
	const char *blob = payload ? record_sign(arena, payload, push->key, err) : NULL;

	if (!blob)
		return NULL;
	const struct repo_call hash = {
		.arguments = REPO_ARGUMENTS("hash-object", "-w", "--stdin"), .input = blob, .input_length = strlen(blob)};
	record_id(blob, strlen(blob), id);
	return repo_text(push->repo, arena, &hash, NULL, err);
}

/* `lease`: the commit that the proposal's head is known to have and may be taken off; NULL: only a step forward. */
static int push_record(struct arena *arena, const struct signer_push *push, const char *spec, const char *lease, struct err *err)
{
	const struct record *record = push->record;
	const char *head = arena_printf(arena, "refs/proposals/%s/head", record->proposal);
	struct strv arguments = STRV_INIT;
	char *pushed;

	strv_pushl(&arguments, "push", "--quiet", "--atomic", "--no-verify", NULL);
	if (lease)
		strv_pushf(&arguments, "--force-with-lease=%s:%s", head, lease);
	strv_push(&arguments, push->address);
	if (record->kind == RECORD_PROPOSE)
		strv_pushf(&arguments, "%s:%s", record->commit, head);
	strv_push(&arguments, spec);
	const struct repo_call call = {.arguments = (const char *const *)arguments.v, .heard = true};
	pushed = repo_text(push->repo, arena, &call, NULL, err);
	strv_release(&arguments);
	return pushed ? 0 : -1;
}

/* The commit that the proposal has on the server, when the caller's clone has it too: then it is known what is taken off. */
static const char *known_head(struct arena *arena, const struct signer_push *push, struct err *err)
{
	const char *name = push->record->proposal, *ref = arena_printf(arena, "refs/proposals/%s/head", name);
	const struct repo_call list = {.arguments = REPO_ARGUMENTS("ls-remote", push->address, ref)};
	char *line = repo_text(push->repo, arena, &list, NULL, err);

	if (!line)
		return NULL;
	line[strcspn(line, "\t")] = '\0';
	const struct repo_call has = {.arguments = REPO_ARGUMENTS("cat-file", "-e", line)};
	if (forge_commit_valid(line) && repo_status(push->repo, &has, err) == 0)
		return line;
	err_set(err, ERR_REFUSED,
		"there is a proposal %s already, with a commit that you do not have: take another name with --name NAME, or, to go on "
	    "with "
		"that one, git fetch %s %s first",
		name, push->address, ref);
	return NULL;
}

int signer_push(struct arena *arena, const struct signer_push *push, char id[static RECORD_ID_SIZE], struct err *err)
{
	const char *object = store_record(arena, push, id, err), *spec, *lease;

	if (!object)
		return -1;
	spec = arena_printf(arena, "%s:refs/proposals/%s/records/%s", object, push->record->proposal, id);
	if (push_record(arena, push, spec, NULL, err) == 0)
		return 0;
	if (push->record->kind != RECORD_PROPOSE || !strstr(err->text, "[rejected]"))
		return -1;
	lease = known_head(arena, push, err);
	return lease ? push_record(arena, push, spec, lease, err) : -1;
}

void signer_say(const struct record *record, const char *id)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s}", "proposal", record->proposal, "repository", record->repository, "target",
		record->target, "commit", record->commit, "record", id);

	json_dumpf(json, stdout, JSON_COMPACT);
	json_decref(json);
	putchar('\n');
}
