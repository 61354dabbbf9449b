/*
 * A tree's files, exactly as they are in the repository, in a folder: no filter, conversion or substitution runs, symbolic links stay
 * symbolic links. What a checkout could not give completely (submodules, files kept by git-lfs) is refused before.
 */
#ifndef BYOCI_SLAVES_EXPORT_H
#define BYOCI_SLAVES_EXPORT_H

#include "slaves/tree/tree.h"

/*
 * ERR_REFUSED, with the path and what to do, when the tree has a submodule or a pointer of git-lfs; also when its files would take more
 * than `maximum` bytes of disk, a small one being a block.
 */
int export_check(struct tree *tree, const char *tree_id, int64_t maximum, struct err *err);

/*
 * Writes the files into `folder`, which must be there and empty (absolute). `index` is the path of a file for git's index
 * meanwhile; it is removed.
 */
int export_files(struct tree *tree, const char *tree_id, const char *folder, const char *index, struct err *err);

#endif
