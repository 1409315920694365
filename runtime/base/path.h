// Builds paths.
#ifndef GETP_BASE_PATH_H
#define GETP_BASE_PATH_H

#include "base/error.h"

// DIRECTORY/NAME, or NULL with a message. The caller frees it.
char *path_join(const char *directory, const char *name, struct error *err);

#endif
