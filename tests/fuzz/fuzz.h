// What the targets of the fuzzers share. A target reads one input as getp would read it, and frees
// what it got: a sanitizer, a failed check or the clock finds what is wrong. Targets run in the
// root of the repository.
#ifndef GETP_TESTS_FUZZ_H
#define GETP_TESTS_FUZZ_H

#include "base/error.h"
#include "tokenizer/tokenizer.h"

#include <stddef.h>
#include <stdint.h>

// The entry points of libFuzzer. The first is called for each input.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

// Ends the process with a message if something that must hold does not.
void must(bool holds, const char *what);

// The folder of this process, in which a target writes its files. It is removed at the end.
const char *fuzz_folder(void);

// Writes a file into the folder and returns its path, which is valid until the next call. The file
// then has `bytes` or `end` bytes, whichever are more; those after `data` are zero.
const char *fuzz_file(const char *name, const void *data, size_t bytes, size_t end);

// The tokenizer of abacus_chat, opened once.
const struct tokenizer *fuzz_tokenizer(void);

#endif
