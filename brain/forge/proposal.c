#include "forge/proposal.h"

#include <string.h>

#define NAME_MAXIMUM 63
#define ADDRESS_MAXIMUM 1024

bool forge_name_valid(const char *name)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	static const char others[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = strspn(name, others);

	if (length == 0 || length > NAME_MAXIMUM || name[length] != '\0' || !strchr(first, name[0]))
		return false;
	if (strstr(name, "..") || name[length - 1] == '.')
		return false;
	return length < 5 || strcmp(name + length - 5, ".lock") != 0;
}

bool forge_commit_valid(const char *commit)
{
	size_t length = strspn(commit, "0123456789abcdef");

	return (length == 40 || length == 64) && commit[length] == '\0';
}

/* Letters, digits and the few signs of hosts, ports, IPv6 addresses, users and paths; nothing quoted, queried or escaped. */
static bool plain(const char *text)
{
	static const char signs[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+~@:/[]";
	size_t length = strspn(text, signs);

	return length <= ADDRESS_MAXIMUM && text[length] == '\0';
}

/* "ssh://", "git://", "http://", "https://": where the host begins; NULL: the form is "host:path". */
static const char *after_scheme(const char *address)
{
	static const char *const schemes[] = {"ssh://", "git+ssh://", "git://", "https://", "http://"};

	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
		if (strncmp(address, schemes[i], strlen(schemes[i])) == 0)
			return address + strlen(schemes[i]);
	return NULL;
}

static const char *after_user(const char *host)
{
	size_t end = strcspn(host, "/");
	const char *at = memchr(host, '@', end);

	return at ? at + 1 : host;
}

/* The path without slashes at both ends, ".git" and empty, "." or ".." parts; its length, or 0. */
static size_t path_length(const char *path)
{
	size_t length = strlen(path);

	while (length > 0 && path[length - 1] == '/')
		length--;
	if (length > 4 && strncmp(path + length - 4, ".git", 4) == 0 && path[length - 5] != '/')
		length -= 4;
	for (size_t at = 0, part; at < length; at += part + 1) {
		part = 0;
		while (at + part < length && path[at + part] != '/')
			part++;
		if (part == 0 || (part == 1 && path[at] == '.') || (part == 2 && strncmp(path + at, "..", 2) == 0))
			return 0;
	}
	return length;
}

static void lower(char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] = (char)(text[i] - 'A' + 'a');
}

char *forge_identity(struct arena *arena, const char *address)
{
	const char *host = after_scheme(address);
	size_t host_length, length;
	const char *path;
	char *identity;

	if (!plain(address))
		return NULL;
	if (host) {
		host = after_user(host);
		host_length = strcspn(host, "/");
	} else {
		if (strstr(address, "://"))
			return NULL;
		host = after_user(address);
		host_length = strcspn(host, ":/");
		if (host[host_length] != ':')
			return NULL;
	}
	if (host_length == 0 || host[host_length] == '\0' || memchr(host, '@', host_length))
		return NULL;
	path = host + host_length + 1;
	path += strspn(path, "/");
	length = path_length(path);
	if (length == 0)
		return NULL;
	identity = arena_printf(arena, "%.*s/%.*s", (int)host_length, host, (int)length, path);
	lower(identity, host_length);
	return identity;
}

char *forge_beside(struct arena *arena, const char *address, const char *path)
{
	const char *host = after_scheme(address), *end;

	if (!forge_identity(arena, address) || !plain(path) || path_length(path) == 0 || path_length(path) != strlen(path))
		return NULL;
	host = after_user(host ? host : address);
	end = host + strcspn(host, after_scheme(address) ? "/" : ":");
	return arena_printf(arena, "%.*s%s", (int)(end + 1 - address), address, path);
}

const char *forge_path(const char *identity)
{
	const char *slash = strchr(identity, '/');

	return slash ? slash + 1 : "";
}

bool forge_same_host(const char *identity, const char *other)
{
	size_t length = strcspn(identity, "/");

	return length == strcspn(other, "/") && strncmp(identity, other, length) == 0;
}
