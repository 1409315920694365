// Names of files.
#ifndef GETP_BASE_PATH_H
#define GETP_BASE_PATH_H

#include "base/error.h"

// DIRECTORY/NAME on the heap, or NULL with a message.
char *path_join(const char *directory, const char *name, struct error *err);

#endif
