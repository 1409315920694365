#include "terminal.h"

#include "base/error.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct terminal terminal_open(FILE *file) {
  const char *name = getenv("TERM");
  const bool is_terminal = isatty(fileno(file)) == 1;
  return (struct terminal){
      .file = file,
      .is_terminal = is_terminal,
      .is_styled = is_terminal && name && *name && strcmp(name, "dumb") != 0,
  };
}

// The code point of a well-formed character of n bytes.
static uint32_t code_point(const char *bytes, size_t n) {
  static const unsigned char LEAD_BITS[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  uint32_t code = (unsigned char)bytes[0] & LEAD_BITS[n];
  for (size_t i = 1; i < n; i++)
    code = code << 6 | ((unsigned char)bytes[i] & 0x3f);
  return code;
}

static void print_character(FILE *file, const char *bytes, size_t n) {
  const uint32_t code = code_point(bytes, n);
  const bool is_c1 = code >= 0x80 && code <= 0x9f;
  const bool turns_text = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
  if ((code < ' ' && code != '\n' && code != '\t') || code == 0x7f)
    fprintf(file, "^%c", (int)(code ^ 0x40));
  else if (is_c1 || turns_text)
    fprintf(file, "<U+%04X>", code);
  else
    fwrite(bytes, 1, n, file);
}

// Prints the first byte that is kept as one that is not part of UTF-8.
static void print_stray_byte(struct terminal *terminal) {
  fprintf(terminal->file, "<%02X>", (unsigned char)terminal->part[0]);
  terminal->kept--;
  memmove(terminal->part, terminal->part + 1, terminal->kept);
}

void terminal_write(struct terminal *terminal, const char *bytes, size_t n) {
  if (!terminal->is_terminal) {
    fwrite(bytes, 1, n, terminal->file);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    terminal->part[terminal->kept++] = bytes[i];
    while (terminal->kept > 0) {
      const size_t length = utf8_length(terminal->part, terminal->kept);
      if (length > terminal->kept)
        break;
      if (length == 0) {
        print_stray_byte(terminal);
      } else {
        print_character(terminal->file, terminal->part, length);
        terminal->kept = 0;
      }
    }
  }
}

void terminal_end(struct terminal *terminal) {
  while (terminal->kept > 0)
    print_stray_byte(terminal);
}

void remark(const char *format, ...) {
  struct terminal terminal = terminal_open(stderr);
  char *text;
  va_list args;
  va_start(args, format);
  const int n = vasprintf(&text, format, args);
  va_end(args);
  if (n < 0)
    return; // without memory the run goes on without the remark
  make_line(text);
  fputs("getp: ", stderr);
  terminal_write(&terminal, text, (size_t)n);
  terminal_end(&terminal);
  fputc('\n', stderr);
  free(text);
}
