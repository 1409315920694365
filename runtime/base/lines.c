#include "base/lines.h"

#include <stdlib.h>
#include <string.h>

// Removes each CR at the end of a line; the last line may end without a LF.
static void remove_carriage_returns(struct text *text) {
  char *bytes = text->bytes, *first = memchr(bytes, '\r', text->n);
  size_t kept = first ? (size_t)(first - bytes) : text->n;
  for (size_t i = kept; i < text->n; i++)
    if (bytes[i] != '\r' || (i + 1 < text->n && bytes[i + 1] != '\n'))
      bytes[kept++] = bytes[i];
  bytes[kept] = 0;
  text->n = kept;
}

bool text_read_lines(struct text *text, const char *path, struct error *err) {
  static const char MARK[] = "\xEF\xBB\xBF", LITTLE[] = "\xFF\xFE", BIG[] = "\xFE\xFF";
  if (!text_read(text, path, err))
    return false;
  if (text->n >= 2 && (memcmp(text->bytes, LITTLE, 2) == 0 || memcmp(text->bytes, BIG, 2) == 0)) {
    free(text->bytes);
    *text = (struct text){0};
    return fail(err, "%s: want UTF-8, found UTF-16: save the file as UTF-8", path);
  }
  const size_t mark = sizeof MARK - 1;
  if (text->n >= mark && memcmp(text->bytes, MARK, mark) == 0) {
    text->n -= mark;
    memmove(text->bytes, text->bytes + mark, text->n + 1);
  }
  remove_carriage_returns(text);
  return true;
}

bool text_line(struct text *rest, struct text *line) {
  if (rest->n == 0)
    return false;
  const char *end = memchr(rest->bytes, '\n', rest->n);
  *line = (struct text){rest->bytes, end ? (size_t)(end - rest->bytes) : rest->n};
  const size_t used = line->n + (end ? 1 : 0);
  *rest = (struct text){rest->bytes + used, rest->n - used};
  return true;
}

size_t text_lines(struct text text) {
  struct text line;
  size_t n = 0;
  while (text_line(&text, &line))
    n++;
  return n;
}

// Parses one line into `out` and returns the number of ids, or -1 if something else stands there.
// `out` has room for one id in every two bytes.
static int64_t parse_ids(struct text line, int32_t vocab, int32_t *out) {
  int64_t n = 0;
  for (size_t i = 0; i < line.n;) {
    int64_t id = 0;
    size_t digits = 0;
    for (; i < line.n && line.bytes[i] >= '0' && line.bytes[i] <= '9'; i++, digits++)
      if ((id = id * 10 + (line.bytes[i] - '0')) >= vocab)
        return -1;
    if (digits)
      out[n++] = (int32_t)id;
    if (i < line.n && line.bytes[i] != ' ' && line.bytes[i] != '\t')
      return -1;
    i++;
  }
  return n;
}

bool id_lines_read(struct id_lines *lines, const char *path, int32_t vocab, struct error *err) {
  struct text text, line;
  *lines = (struct id_lines){0};
  if (!text_read_lines(&text, path, err))
    return false;
  const size_t n = text_lines(text);
  lines->ids = malloc((text.n / 2 + 1) * sizeof *lines->ids);
  lines->start = calloc(n + 1, sizeof *lines->start);
  bool ok = (lines->ids && lines->start) || fail(err, "%s: out of memory for its token ids", path);
  for (struct text rest = text; ok && text_line(&rest, &line);) {
    const size_t begin = lines->start[lines->n];
    const int64_t count = parse_ids(line, vocab, lines->ids + begin);
    if (count < 0)
      ok = fail(err, "%s:%zu: want token ids from 0 to %d separated by spaces", path, lines->n + 1,
                vocab - 1);
    else
      lines->start[++lines->n] = begin + (size_t)count;
  }
  free(text.bytes);
  if (!ok)
    id_lines_free(lines);
  return ok;
}

void id_lines_free(struct id_lines *lines) {
  free(lines->ids);
  free(lines->start);
  *lines = (struct id_lines){0};
}
