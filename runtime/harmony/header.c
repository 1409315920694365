#include "harmony/header.h"

#include <stdlib.h>
#include <string.h>

static const char RECIPIENT[] = "to=";

void header_free(struct header *header) {
  free(header->role);
  free(header->channel);
  free(header->recipient);
  free(header->content_type);
  free(header->word.bytes);
  free(header->space.bytes);
  *header = (struct header){0};
}

void header_begin(struct header *header, enum header_word next, bool well_formed) {
  header_free(header);
  header->next = next;
  header->well_formed = well_formed;
}

// Moves the text of the word from an offset on to a field.
static bool set_field(char **field, struct buffer *word, size_t offset) {
  *field = strdup(word->bytes + offset);
  word->n = 0;
  return *field != NULL;
}

static bool add_stray(struct header *header, struct buffer *stray) {
  if (!buffer_add(stray, header->space.bytes, header->space.n) ||
      !buffer_add(stray, header->word.bytes, header->word.n))
    return false;
  header->has_stray = true;
  header->well_formed = false;
  header->space.n = header->word.n = 0;
  return true;
}

static bool begins_recipient(const struct buffer *word) {
  const size_t prefix = sizeof RECIPIENT - 1;
  return word->n >= prefix && memcmp(word->bytes, RECIPIENT, prefix) == 0;
}

static bool add_recipient(struct header *header, struct buffer *stray) {
  const bool named = header->word.n > sizeof RECIPIENT - 1;
  if (header->recipient || !named || header->next == WORD_STRAY)
    return add_stray(header, stray);
  if (header->next == WORD_ROLE) { // the role is missing
    header->well_formed = false;
    header->next = WORD_FREE;
  }
  return set_field(&header->recipient, &header->word, sizeof RECIPIENT - 1);
}

// Says what the word is, which has at least one byte.
static bool end_word(struct header *header, struct buffer *stray) {
  struct buffer *word = &header->word;
  const enum header_word next = header->next;
  if (begins_recipient(word))
    return add_recipient(header, stray);
  header->next = WORD_FREE;
  if (next == WORD_ROLE)
    return set_field(&header->role, word, 0);
  if (next == WORD_CHANNEL)
    return set_field(&header->channel, word, 0);
  const bool follows = header->channel || header->recipient;
  if (next == WORD_CONTENT_TYPE || (next == WORD_FREE && follows && !header->content_type))
    return set_field(&header->content_type, word, 0);
  return add_stray(header, stray);
}

// White space, and other control characters: no field contains one.
static bool is_space(char c) {
  return 0 <= c && c <= ' ';
}

bool header_read(struct header *header, const char *text, size_t n, struct buffer *stray) {
  for (size_t i = 0; i < n; i++) {
    const bool space = is_space(text[i]);
    if (space && header->word.n > 0) {
      if (!end_word(header, stray))
        return false;
      header->space.n = 0;
    }
    if (!buffer_add(space ? &header->space : &header->word, text + i, 1))
      return false;
  }
  return true;
}

bool header_end_word(struct header *header, struct buffer *stray) {
  if (header->word.n > 0)
    return end_word(header, stray);
  const bool ok = !header->has_stray || buffer_add(stray, header->space.bytes, header->space.n);
  header->space.n = 0;
  return ok;
}

bool header_cut_word(struct header *header, struct buffer *stray) {
  const struct buffer *word = &header->word;
  const bool may_be_recipient = !header->recipient && header->next != WORD_STRAY &&
                                word->n < sizeof RECIPIENT &&
                                memcmp(RECIPIENT, word->bytes ? word->bytes : "", word->n) == 0;
  return word->n > 0 && may_be_recipient ? true : header_end_word(header, stray);
}

void header_expect(struct header *header, enum header_word next) {
  char *const *field = next == WORD_CHANNEL ? &header->channel : &header->content_type;
  if (*field || header->next != WORD_FREE)
    header->well_formed = false;
  header->next = *field ? WORD_STRAY : next;
}

bool header_has_fields(const struct header *header) {
  return (header->role && strcmp(header->role, "assistant") != 0) || header->channel ||
         header->recipient || header->content_type;
}
