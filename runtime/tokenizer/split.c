// HF tokenizers uses Oniguruma for the pattern, this file uses PCRE2. They agree on all that split
// patterns use, with two exceptions. ^ and $ of Oniguruma match at every line, so PCRE2_MULTILINE
// is set. And \s of PCRE2 includes U+180E, which is not White_Space since Unicode 6.3, so \s and \S
// are replaced by that property. What the two might read differently is refused.
#include "tokenizer/split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// The o200k pattern needs a few KiB of JIT stack for any text. A pattern that repeats a group needs
// some bytes per repetition. The stack is address space, of which a match touches what it needs.
// Without JIT, PCRE2 gets as much memory for a match.
enum { JIT_STACK_START = 32 << 10, JIT_STACK_END = 64 << 20 };

// A pattern can take a time that is exponential in the text, so its steps are bounded: they are
// what PCRE2 counts against its match limit. It counts anew for each byte at which a match may
// begin, so it is asked for one such byte at a time. A match may take STEPS_PER_MATCH, and what it
// takes beyond them comes from a stock for the whole text. A repeat that gives a long match back
// takes a step for each character, so the stock grows with the text. PCRE2_NO_AUTO_POSSESS makes
// it give back, and count, also where that is in vain, as in a*b: otherwise a long run of `a` could
// be read to its end from each of its bytes at no cost.
enum { STEPS_PER_MATCH = 1 << 8, STOCK = 1 << 22, STOCK_PER_BYTE = 64 };

// Working memory of one call of split_text.
struct split_scratch {
  pcre2_match_data *data;
  pcre2_match_context *context;
  pcre2_jit_stack *stack; // NULL: PCRE2 has no JIT
};

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

// A part of a pattern that is refused.
struct foreign {
  const char *want;
  const char *at; // NULL: there is none
  int bytes;      // to show
};

// A walk over a pattern.
struct walk {
  struct foreign foreign;
  const char *set; // the first byte of the set that the walk is in, or NULL
  int depth;       // of open groups
  int once;        // depth of the outermost open group that is matched once, or 0
};

static void refuse(struct walk *walk, const char *want, const char *at, size_t bytes) {
  walk->foreign = (struct foreign){want, at, (int)bytes};
}

// Refuses an escape that the two might read differently: \w, \h, \R, \b, \1, ... Returns its last
// byte, which is the brace of \p{...}.
static const char *walk_escape(struct walk *walk, const char *c) {
  const bool alphanumeric =
      (c[1] >= '0' && c[1] <= '9') || ((c[1] | 32) >= 'a' && (c[1] | 32) <= 'z');
  if (alphanumeric && !strchr("rntpPsSdD", c[1]))
    refuse(walk, "no escapes but \\r \\n \\t \\p \\P \\s \\S \\d \\D", c, 2);
  const char *brace = (c[1] == 'p' || c[1] == 'P') && c[2] == '{' ? strchr(c, '}') : NULL;
  return brace ? brace : c + 1;
}

// Refuses a set in a set, [a[b]] or [a&&b], which only Oniguruma has. PCRE2 has [[:alpha:]].
static void walk_set(struct walk *walk, const char *c) {
  if (*c == '[' || (c[0] == '&' && c[1] == '&'))
    refuse(walk, "no set within a set", c, *c == '[' ? 1 : 2);
  if (*c == ']' && c != walk->set)
    walk->set = NULL;
}

// Refuses a group that begins with "(*" or "(?" but is none of those that the two read alike: a
// verb such as (*LIMIT_MATCH=, a callout, a recursion, a condition, an option other than i.
static const char *walk_group(struct walk *walk, const char *c) {
  static const char *const ALIKE[] = {"(?i:", "(?-i:", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
  enum { FIRST_ONCE = 3 };
  size_t i = 0;
  walk->depth++;
  if (c[1] != '*' && c[1] != '?')
    return c;
  while (i < sizeof ALIKE / sizeof *ALIKE && strncmp(c, ALIKE[i], strlen(ALIKE[i])) != 0)
    i++;
  if (i == sizeof ALIKE / sizeof *ALIKE) {
    refuse(walk,
           "no groups but (...) (?:...) (?=...) (?!...) (?<=...) (?<!...) (?>...) (?i:...) "
           "(?-i:...)",
           c, c[1] == '*' ? 2 : 3);
    return c;
  }
  if (i >= FIRST_ONCE && !walk->once)
    walk->once = walk->depth;
  return c + strlen(ALIKE[i]) - 1;
}

// Refuses the repeats after which the two go on differently, {,n}, which PCRE2 reads as text, and
// {n}+, which is possessive in PCRE2 alone. Refuses those whose steps PCRE2 does not count, which
// are possessive, or in a group that is matched once.
static const char *walk_repeat(struct walk *walk, const char *c) {
  const size_t n = *c == '{' ? strspn(c + 1, "0123456789,") : 0;
  if (*c == '{' && (n == 0 || c[1 + n] != '}'))
    return c;
  const char *end = *c == '{' ? c + 1 + n : c;
  if (c[0] == '{' && c[1] == ',')
    refuse(walk, "no {,n}", c, n + 2);
  else if (end[1] == '+')
    refuse(walk, "no repeat with a + after it", c, (size_t)(end - c) + 2);
  else if (walk->once && *c != '?')
    refuse(walk, "no repeat in (?=...) (?!...) (?<=...) (?<!...) (?>...)", c,
           (size_t)(end - c) + 1);
  return end;
}

// Reads a part outside of sets and returns its last byte.
static const char *walk_part(struct walk *walk, const char *c) {
  switch (*c) {
  case '[':
    walk->set = c[1] == '^' ? c + 2 : c + 1;
    return walk->set - 1;
  case '(':
    return walk_group(walk, c);
  case ')':
    walk->once = walk->once == walk->depth ? 0 : walk->once;
    walk->depth--;
    return c;
  case '*':
  case '+':
  case '?':
  case '{':
    return walk_repeat(walk, c);
  default:
    return c;
  }
}

static struct foreign find_foreign(const char *pattern) {
  struct walk walk = {0};
  for (const char *c = pattern; *c && !walk.foreign.at; c++) {
    if (*c == '\\' && c[1])
      c = walk_escape(&walk, c);
    else if (walk.set)
      walk_set(&walk, c);
    else
      c = walk_part(&walk, c);
  }
  return walk.foreign;
}

static bool compile(struct split *split, const char *pattern, struct error *err) {
  int code;
  PCRE2_SIZE offset;
  char *spelled = replace_spaces(pattern);
  if (!spelled)
    return fail(err, "out of memory for a pattern");
  split->code = pcre2_compile((PCRE2_SPTR)spelled, PCRE2_ZERO_TERMINATED,
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_ANCHORED |
                                  PCRE2_NO_AUTO_POSSESS,
                              &code, &offset, NULL);
  free(spelled);
  if (split->code)
    return true;
  PCRE2_UCHAR text[128];
  pcre2_get_error_message(code, text, sizeof text);
  return fail(err, "want a regular expression, found one with an error: %s", (char *)text);
}

bool split_compile(struct split *split, const char *pattern, struct error *err) {
  const struct foreign foreign = find_foreign(pattern);
  if (foreign.at)
    return fail(err, "want a pattern with %s, found %.*s", foreign.want, foreign.bytes, foreign.at);
  if (!compile(split, pattern, err))
    return false;
  // Without JIT, pcre2_match interprets the pattern, with the same result but more slowly.
  pcre2_jit_compile(split->code, PCRE2_JIT_COMPLETE);
  split->idle = calloc(1, sizeof *split->idle);
  return split->idle ? true : fail(err, "out of memory for a pattern");
}

static void scratch_free(struct split_scratch *scratch) {
  if (!scratch)
    return;
  pcre2_match_data_free(scratch->data);
  pcre2_match_context_free(scratch->context);
  pcre2_jit_stack_free(scratch->stack);
  free(scratch);
}

static struct split_scratch *scratch_make(const struct split *split) {
  struct split_scratch *scratch = calloc(1, sizeof *scratch);
  if (!scratch)
    return NULL;
  scratch->data = pcre2_match_data_create_from_pattern(split->code, NULL);
  scratch->context = pcre2_match_context_create(NULL);
  scratch->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_END, NULL);
  if (!scratch->data || !scratch->context) {
    scratch_free(scratch);
    return NULL;
  }
  pcre2_set_heap_limit(scratch->context, JIT_STACK_END >> 10);
  if (scratch->stack)
    pcre2_jit_stack_assign(scratch->context, NULL, scratch->stack);
  return scratch;
}

// Mapping and unmapping a JIT stack takes longer than splitting a short text, so a scratch is kept
// from one call to the next. A call that runs beside another finds none and makes its own.
static struct split_scratch *scratch_borrow(const struct split *split) {
  struct split_scratch *scratch = atomic_exchange(split->idle, NULL);
  return scratch ? scratch : scratch_make(split);
}

static void scratch_return(const struct split *split, struct split_scratch *scratch) {
  scratch_free(atomic_exchange(split->idle, scratch));
}

void split_free(struct split *split) {
  if (split->idle)
    scratch_free(*split->idle);
  free(split->idle);
  pcre2_code_free(split->code);
  *split = (struct split){0};
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

// A text that is being split.
struct splitting {
  const struct split *split;
  struct split_scratch *scratch;
  const char *text;
  size_t bytes;
  uint64_t stock; // steps that are left
};

// Matches at the byte `from`, with a higher limit each time that the match reaches one.
static int match(struct splitting *s, size_t from) {
  for (uint64_t limit = STEPS_PER_MATCH;; limit *= 8) {
    const uint64_t most = s->stock < UINT32_MAX ? s->stock : UINT32_MAX;
    const bool is_last = limit >= most;
    pcre2_set_match_limit(s->scratch->context, (uint32_t)(is_last ? most : limit));
    const int rc = pcre2_match(s->split->code, (PCRE2_SPTR)s->text, s->bytes, from,
                               PCRE2_NO_UTF_CHECK, s->scratch->data, s->scratch->context);
    if (rc == PCRE2_ERROR_MATCHLIMIT && !is_last)
      continue;
    if (limit > STEPS_PER_MATCH)
      s->stock -= is_last ? most : limit;
    if (s->stock < STEPS_PER_MATCH)
      s->stock = STEPS_PER_MATCH;
    return rc;
  }
}

static bool fail_match(const struct splitting *s, size_t from, int rc, struct error *err) {
  PCRE2_UCHAR why[128];
  if (rc == PCRE2_ERROR_MATCHLIMIT)
    return fail(err,
                "text: byte %zu: the tokenizer's split pattern failed: it takes too many steps for "
                "a text of %zu bytes",
                from, s->bytes);
  pcre2_get_error_message(rc, why, sizeof why);
  return fail(err, "text: byte %zu: the tokenizer's split pattern failed: %s", from, (char *)why);
}

static bool split_all(struct splitting *s, split_visit visit, void *context, struct error *err) {
  const PCRE2_SIZE *found = pcre2_get_ovector_pointer(s->scratch->data);
  size_t done = 0, from = 0;
  while (from < s->bytes) {
    const int rc = match(s, from);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
      return fail_match(s, from, rc, err);
    if (rc >= 0) {
      if (!visit_range(s->text, done, from, visit, context, err) ||
          !visit_range(s->text, from, found[1], visit, context, err))
        return false;
      done = found[1];
    }
    from = from < done ? done : next_character(s->text, s->bytes, from);
  }
  return visit_range(s->text, done, s->bytes, visit, context, err);
}

bool split_text(const struct split *split, const char *text, size_t bytes, split_visit visit,
                void *context, struct error *err) {
  struct splitting s = {
      .split = split,
      .scratch = scratch_borrow(split),
      .text = text,
      .bytes = bytes,
      .stock = STOCK + (uint64_t)bytes * STOCK_PER_BYTE,
  };
  if (!s.scratch)
    return fail(err, "text: out of memory for splitting %zu bytes", bytes);
  const bool ok = split_all(&s, visit, context, err);
  scratch_return(split, s.scratch);
  return ok;
}
