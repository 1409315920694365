// What terminal_write prints on a terminal and in a file, with text cut at every byte.
#include "terminal.h"

#include "support.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Writes a text in pieces of `piece` bytes and compares what comes out.
static void assert_output(bool is_terminal, const char *text, size_t n, size_t piece,
                          const char *want, size_t want_bytes) {
  char *got;
  size_t bytes;
  FILE *file = open_memstream(&got, &bytes);
  assert_non_null(file);
  struct terminal terminal = {.file = file, .is_terminal = is_terminal};
  for (size_t at = 0; at < n; at += piece)
    terminal_write(&terminal, text + at, n - at < piece ? n - at : piece);
  terminal_end(&terminal);
  fclose(file);
  assert_int_equal(bytes, want_bytes);
  assert_memory_equal(got, want, want_bytes);
  free(got);
}

static const struct {
  const char *text, *want;
} CASES[] = {
    {"", ""},
    {"plain text,\ttabs\nand lines\n", "plain text,\ttabs\nand lines\n"},
    {"\033]0;title\007", "^[]0;title^G"},
    {"\033[2J\033[H", "^[[2J^[[H"},
    {"over\rwritten\b\b", "over^Mwritten^H^H"},
    {"\x01\x1f\x7f", "^A^_^?"},
    {"\xc2\x80\xc2\x9b 31m\xc2\x9f\xc2\xa0", "<U+0080><U+009B> 31m<U+009F>\xc2\xa0"},
    {"\x9b 31m", "<9B> 31m"}, // a C1 control for a terminal without UTF-8
    {"\xe2\x80\xaa\xe2\x80\xab\xe2\x80\xac\xe2\x80\xad\xe2\x80\xae",
     "<U+202A><U+202B><U+202C><U+202D><U+202E>"},
    {"\xe2\x81\xa6\xe2\x81\xa7\xe2\x81\xa8\xe2\x81\xa9", "<U+2066><U+2067><U+2068><U+2069>"},
    {"\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa",
     "\xe2\x80\xa9\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa"},
    {"na\xc3\xafve \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x8d\xa3",
     "na\xc3\xafve \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x8d\xa3"},
    {"\xe2\x9b", "<E2><9B>"}, // cut off at the end
    {"\xe2\x9b\033", "<E2><9B>^["},
    {"\xe2\x9b\xe2\x9b\x80", "<E2><9B>\xe2\x9b\x80"},
    {"\xc0\x9b\xf5\xff", "<C0><9B><F5><FF>"}, // never UTF-8
    {"\xed\xa0\x80", "<ED><A0><80>"},         // a surrogate
    {"\xf0\x9f\x8d", "<F0><9F><8D>"},
};

static void a_terminal_gets_visible_characters(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(CASES); i++)
    for (size_t piece = 1; piece <= 5; piece++)
      assert_output(true, CASES[i].text, strlen(CASES[i].text), piece, CASES[i].want,
                    strlen(CASES[i].want));
  assert_output(true, "a\0b", 3, 1, "a^@b", 4);
}

static void a_file_gets_the_bytes(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(CASES); i++)
    for (size_t piece = 1; piece <= 5; piece++)
      assert_output(false, CASES[i].text, strlen(CASES[i].text), piece, CASES[i].text,
                    strlen(CASES[i].text));
  assert_output(false, "a\0b", 3, 1, "a\0b", 3);
}

// Every byte alone is printed as bytes that no terminal acts upon, but for newlines and tabs.
static void no_byte_drives_a_terminal(void **state) {
  (void)state;
  for (int byte = 0; byte < 256; byte++) {
    const char text = (char)byte;
    char *got;
    size_t n;
    FILE *file = open_memstream(&got, &n);
    struct terminal terminal = {.file = file, .is_terminal = true};
    terminal_write(&terminal, &text, 1);
    terminal_end(&terminal);
    fclose(file);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++)
      assert_true((got[i] >= ' ' && got[i] < 127) || (n == 1 && (byte == '\n' || byte == '\t')));
    free(got);
  }
}

static void a_file_is_no_terminal(void **state) {
  (void)state;
  FILE *file = tmpfile();
  assert_non_null(file);
  const struct terminal terminal = terminal_open(file);
  assert_false(terminal.is_terminal || terminal.is_styled);
  fclose(file);
}

// A remark is one line, whatever the text in it.
static void a_remark_is_one_line(void **state) {
  (void)state;
  FILE *file = tmpfile();
  const int before = dup(STDERR_FILENO);
  assert_true(file && before >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
  remark("%s: want %d", "a\nb\033c\xc2\x9b", 5);
  dup2(before, STDERR_FILENO);
  close(before);
  char got[64] = {0};
  rewind(file);
  assert_true(fread(got, 1, sizeof got - 1, file) > 0);
  assert_string_equal(got, "getp: a?b?c\xc2\x9b: want 5\n");
  fclose(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_terminal_gets_visible_characters),
      cmocka_unit_test(a_file_gets_the_bytes),
      cmocka_unit_test(no_byte_drives_a_terminal),
      cmocka_unit_test(a_file_is_no_terminal),
      cmocka_unit_test(a_remark_is_one_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
