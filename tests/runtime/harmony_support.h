// Helpers of the tests of the harmony format: conversations and replies written as text.
#ifndef GETP_TESTS_HARMONY_SUPPORT_H
#define GETP_TESTS_HARMONY_SUPPORT_H

#include "harmony/reply.h"
#include "support.h"

// Renderings and replies with their ids in the vocabulary of o200k. vectors/README.md says by what
// they were made.
#define CASES "tests/vectors/harmony_cases.json"

// A setup of a group that makes *state a struct harmony of the vocabulary of o200k or of abacus,
// and its teardown.
int open_o200k(void **state);
int open_abacus(void **state);
int close_harmony(void **state);

// The ids of a text in which special tokens are written as such. The caller frees list.id.
struct id_list spell(const struct harmony *harmony, const char *text);

// The text of ids; the caller frees it.
char *unspell(const struct harmony *harmony, const int32_t *ids, size_t n);

// Reads a whole reply. Fails the test if the pieces are not the texts of the messages, in order and
// as UTF-8. The caller frees the reply.
struct reply read_reply(const struct harmony *harmony, const int32_t *ids, size_t n, bool stopped);
struct reply read_spelled(const struct harmony *harmony, const char *text, bool stopped);

// Asserts what a reply is, one message per line, and how it ended:
//
//   KIND role=R channel to=RECIPIENT type=T cut malformed: TEXT
void assert_reply(const struct reply *reply, const char *want, enum reply_end end);

#endif
