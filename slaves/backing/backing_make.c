#include "slaves/backing/backing_make.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "forge/job.h"
#include "slaves/backing/chamber.h"
#include "slaves/backing/lxd_source.h"
#include "slaves/backing/place.h"
#include "slaves/backing/shelf.h"
#include "slaves/backing/unpack.h"

#define SOURCES_MAXIMUM 65536

/* The host's own list of packages where it has this suite; else mmdebstrap takes Debian's. */
static const char *host_sources(struct arena *arena, const char *suite)
{
	static const char *const paths[] = {"/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"};

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct err err = {0};
		char *rest = file_read(arena, paths[i], SOURCES_MAXIMUM, NULL, &err);
		const char *word;

		while (rest && (word = strsep(&rest, " \t\n")))
			if (strcmp(word, suite) == 0)
				return paths[i];
	}
	return NULL;
}

static int make_debian(struct making *making, struct err *err)
{
	const struct recipe *recipe = making->recipe;
	const char *mirror = recipe->mirror ? recipe->mirror : host_sources(making->arena, recipe->suite);
	struct strv argv = STRV_INIT;
	int rc;

	/* In name spaces of its own, so that no mount and no process of it stays when it is killed. */
	strv_pushl(&argv, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", NULL);
	strv_pushl(&argv, "mmdebstrap", "--mode=root", "--format=directory", NULL);
	strv_pushf(&argv, "--variant=%s", recipe->variant);
	for (const char *const *package = recipe->packages; package && *package; package++)
		strv_pushf(&argv, "--include=%s", *package);
	if (recipe->setup) /* it may install something */
		strv_push(&argv, "--skip=cleanup/apt/lists");
	strv_push(&argv, recipe->suite);
	strv_push(&argv, making->rootfs);
	if (mirror)
		strv_push(&argv, mirror);
	rc = making_run(making, "mmdebstrap", &argv, err);
	strv_release(&argv);
	return rc;
}

static int make_folder(const struct making *making, struct err *err)
{
	if (mkdir(making->rootfs, 0755) < 0 || chmod(making->rootfs, 0755) < 0)
		return err_set_errno(err, errno, "%s: the folder cannot be made", making->rootfs);
	return 0;
}

static int make_unpacked(struct making *making, struct err *err)
{
	return make_folder(making, err) < 0 ? -1 : unpack_tarball(making, err);
}

/* While it is copied, its generation can't be removed. Blocks are shared where the file system can. */
static int make_copy(struct making *making, struct err *err)
{
	char digest[JOB_DIGEST_SIZE];
	struct strv argv = STRV_INIT;
	struct shelf base;
	int held, rc;

	if (job_backing_digest(making->conf, making->recipe->base, digest, err) < 0 ||
		shelf_find(&base, making->arena, making->conf, digest, err) < 0)
		return -1;
	making->on = shelf_current(&base);
	held = shelf_use(&base, making->on, err);
	if (held < 0)
		return err_wrap(err, "base %s", making->recipe->base);
	strv_pushl(&argv, "cp", "-a", "--reflink=auto", "--one-file-system", "--", NULL);
	strv_pushf(&argv, "%s/%s/rootfs", base.folder, making->on);
	strv_push(&argv, making->rootfs);
	rc = making_run(making, "copy of the base", &argv, err);
	strv_release(&argv);
	close(held);
	return rc;
}

static int make_image(struct making *making, struct err *err)
{
	return make_folder(making, err) < 0 ? -1 : lxd_source_unpack(making, err);
}

/* Each fills making->rootfs, with packages only where its program does that better than apt-get in there would. */
static const struct {
	int (*make)(struct making *making, struct err *err);
	bool packages;
} sources[RECIPE_SOURCES] = {
	[RECIPE_MMDEBSTRAP] = {make_debian, true},
	[RECIPE_TARBALL] = {make_unpacked, false},
	[RECIPE_BACKING] = {make_copy, false},
	[RECIPE_LXD] = {make_image, false},
};

int backing_make(struct making *making, struct err *err)
{
	bool packages = making->recipe->packages && *making->recipe->packages && !sources[making->recipe->source].packages;

	if (sources[making->recipe->source].make(making, err) < 0 || place_check(making, err) < 0 || place_files(making, err) < 0)
		return -1;
	if (packages || making->recipe->setup)
		return making_call(making, packages ? "packages and setup.command" : "setup.command", CHAMBER_NAMESPACES, chamber_enter,
			&packages, err);
	return 0;
}

bool backing_make_varies(const struct recipe *recipe)
{
	return recipe->source == RECIPE_MMDEBSTRAP || (recipe->source == RECIPE_LXD && !recipe->fingerprint) ||
		(recipe->packages && *recipe->packages) || recipe->setup;
}
