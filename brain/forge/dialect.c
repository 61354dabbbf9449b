#include "forge/dialect.h"

#include <string.h>

#include "forge/dialect_git.h"
#include "forge/dialect_launchpad.h"

const struct dialect dialect_table[] = {
	{
		.name = "git",
		.signature = {.header = "X-Byoci-Signature", .digest = "SHA256", .prefix = "sha256="},
		.event_header = "X-Byoci-Event",
		.delivery_header = "X-Byoci-Delivery",
		.ping = "ping",
		.reader = "git-read",
		.serves = true,
		.event = dialect_git_event,
		.proposal = dialect_git_proposal,
	},
	{
		.name = "launchpad",
		.signature = {.header = "X-Hub-Signature", .digest = "SHA1", .prefix = "sha1="},
		.event_header = "X-Launchpad-Event-Type",
		.delivery_header = "X-Launchpad-Delivery",
		.ping = "ping",
		.reader = "launchpad-read",
		.anew = "--anew",
		.teller = "launchpad-tell",
		.by_token = true,
		.by_name = true,
		.event = dialect_launchpad_event,
		.proposal = dialect_launchpad_proposal,
	},
	{
		.name = "github",
		.signature = {.header = "X-Hub-Signature-256", .digest = "SHA256", .prefix = "sha256="},
		.event_header = "X-GitHub-Event",
		.delivery_header = "X-GitHub-Delivery",
		.ping = "ping",
	},
	{
		.name = "gitea",
		.signature = {.header = "X-Gitea-Signature", .digest = "SHA256", .prefix = ""},
		.event_header = "X-Gitea-Event",
		.delivery_header = "X-Gitea-Delivery",
		.ping = NULL, /* a test delivery is a push that moves nothing */
	},
	{
		.name = "gitlab",
		.signature = {.header = "X-Gitlab-Token", .digest = NULL, .prefix = ""},
		.event_header = "X-Gitlab-Event",
		.delivery_header = "X-Gitlab-Event-UUID",
		.ping = NULL,
	},
};

const unsigned dialect_count = sizeof dialect_table / sizeof dialect_table[0];

const struct dialect *dialect_find(const char *name)
{
	for (unsigned i = 0; i < dialect_count; i++)
		if (strcmp(dialect_table[i].name, name) == 0)
			return &dialect_table[i];
	return NULL;
}
