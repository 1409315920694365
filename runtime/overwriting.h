// Keeps what the command line wants to write apart from what it wants to read.
#ifndef GETP_OVERWRITING_H
#define GETP_OVERWRITING_H

#include "options.h"

// Refuses an output that is the same file as an input or as another output, whatever the names and
// links by which both are reached. The files of a checkpoint folder are inputs, and the journal of
// -o is an output. Only looks at the files, and opens none.
bool check_overwriting(const struct options *options, struct error *err);

#endif
