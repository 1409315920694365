// HF tokenizers uses Oniguruma for the pattern, this file uses PCRE2. They agree on all that split
// patterns use, with two exceptions. ^ and $ of Oniguruma match at every line, so PCRE2_MULTILINE
// is set. And \s of PCRE2 includes U+180E, which is not White_Space since Unicode 6.3, so \s and \S
// are replaced by that property.
#include "tokenizer/split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// The o200k pattern needs a few KiB of JIT stack for any text. A pattern that repeats a group needs
// some bytes per repetition. The stack is address space, of which a match touches what it needs.
enum { JIT_STACK_START = 32 << 10, JIT_STACK_END = 64 << 20 };

// A copy of the pattern with \s and \S replaced, or NULL when memory runs out. The caller frees it.
static char *replace_spaces(const char *pattern) {
  static const char space[] = "\\p{WSpace}", not_space[] = "\\P{WSpace}";
  char *out = malloc(strlen(pattern) * sizeof space + 1), *end = out;
  if (!out)
    return NULL;
  for (const char *c = pattern; *c; c++) {
    if (*c != '\\' || !c[1]) {
      *end++ = *c;
      continue;
    }
    c++;
    if (*c == 's' || *c == 'S') {
      memcpy(end, *c == 's' ? space : not_space, sizeof space - 1);
      end += sizeof space - 1;
    } else {
      *end++ = '\\';
      *end++ = *c;
    }
  }
  *end = '\0';
  return out;
}

// The first escape that Oniguruma and PCRE2 might read differently (\w, \h, \R, \b, ...), or NULL.
static const char *find_foreign_escape(const char *pattern) {
  for (const char *c = pattern; *c; c++) {
    if (*c != '\\' || !c[1])
      continue;
    c++;
    bool alphanumeric = strchr("0123456789", *c) || ((*c | 32) >= 'a' && (*c | 32) <= 'z');
    if (alphanumeric && !strchr("rntpPsSdD", *c))
      return c - 1;
  }
  return NULL;
}

bool split_compile(struct split *split, const char *pattern, struct error *err) {
  const char *escape = find_foreign_escape(pattern);
  if (escape)
    return fail(
        err, "want a pattern with no escapes but \\r \\n \\t \\p \\P \\s \\S \\d \\D, found %.2s",
        escape);
  char *spelled = replace_spaces(pattern);
  if (!spelled)
    return fail(err, "out of memory for a pattern");
  int code;
  PCRE2_SIZE offset;
  split->code = pcre2_compile((PCRE2_SPTR)spelled, PCRE2_ZERO_TERMINATED,
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &code, &offset, NULL);
  free(spelled);
  if (!split->code) {
    PCRE2_UCHAR text[128];
    pcre2_get_error_message(code, text, sizeof text);
    return fail(err, "want a regular expression, found one with an error: %s", (char *)text);
  }
  // Without JIT, pcre2_match interprets the pattern, with the same result but more slowly.
  pcre2_jit_compile(split->code, PCRE2_JIT_COMPLETE);
  return true;
}

void split_free(struct split *split) {
  pcre2_code_free(split->code);
  split->code = NULL;
}

static bool scratch_make(struct split_scratch *scratch, const struct split *split) {
  if (scratch->data)
    return true;
  pcre2_match_context *context = pcre2_match_context_create(NULL);
  scratch->context = context;
  scratch->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_END, NULL);
  scratch->data = pcre2_match_data_create_from_pattern(split->code, NULL);
  if (!scratch->data || !context)
    return false;
  // A repeat that gives a long match back, character by character, counts each against this limit.
  pcre2_set_match_limit(context, UINT32_MAX);
  // PCRE2 without JIT creates no such stack.
  if (scratch->stack)
    pcre2_jit_stack_assign(context, NULL, scratch->stack);
  return true;
}

void split_scratch_free(struct split_scratch *scratch) {
  pcre2_match_data_free(scratch->data);
  pcre2_match_context_free(scratch->context);
  pcre2_jit_stack_free(scratch->stack);
  *scratch = (struct split_scratch){0};
}

static size_t next_character(const char *text, size_t bytes, size_t offset) {
  do
    offset++;
  while (offset < bytes && ((unsigned char)text[offset] & 0xc0) == 0x80);
  return offset;
}

static bool visit_range(const char *text, size_t start, size_t end, split_visit visit,
                        void *context, struct error *err) {
  return start == end || visit(context, text + start, end - start, err);
}

bool split_text(const struct split *split, struct split_scratch *scratch, const char *text,
                size_t bytes, split_visit visit, void *context, struct error *err) {
  if (!scratch_make(scratch, split))
    return fail(err, "text: out of memory for splitting %zu bytes", bytes);
  const PCRE2_SIZE *match = pcre2_get_ovector_pointer(scratch->data);
  size_t done = 0, from = 0;
  while (from < bytes) {
    int rc = pcre2_match(split->code, (PCRE2_SPTR)text, bytes, from, PCRE2_NO_UTF_CHECK,
                         scratch->data, scratch->context);
    if (rc == PCRE2_ERROR_NOMATCH)
      break;
    if (rc < 0) {
      PCRE2_UCHAR why[128];
      pcre2_get_error_message(rc, why, sizeof why);
      return fail(err, "text: byte %zu: the tokenizer's split pattern failed: %s", from,
                  (char *)why);
    }
    if (!visit_range(text, done, match[0], visit, context, err) ||
        !visit_range(text, match[0], match[1], visit, context, err))
      return false;
    done = match[1];
    from = match[0] < match[1] ? done : next_character(text, bytes, done);
  }
  return visit_range(text, done, bytes, visit, context, err);
}
