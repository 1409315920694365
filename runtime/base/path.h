// Builds paths, and follows links.
#ifndef GETP_BASE_PATH_H
#define GETP_BASE_PATH_H

#include "base/error.h"

// DIRECTORY/NAME, or NULL with a message. The caller frees it.
char *path_join(const char *directory, const char *name, struct error *err);

// The folder that a path is in: "." for a name alone. NULL with a message when memory runs out. The
// caller frees it.
char *path_folder(const char *path, struct error *err);

// The path to which a symbolic link leads, also if nothing is there; any other path as it is. Links
// to the open files of a process, as /dev/stdout, are not followed further than to /proc. NULL with
// a message if links lead in a circle. The caller frees it.
char *path_follow(const char *path, struct error *err);

// True if a path is in a folder of /proc, where a file is the open file of a process, whatever name
// that has.
bool path_is_open_file(const char *path);

#endif
