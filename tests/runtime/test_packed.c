// A packed file of abacus, on any of its trees: what is in it, who may open it, and that a writing
// that fails leaves nothing.
#include "engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
  char folder[32], path[64];
  struct safetensors *checkpoint;
  struct model_config config;
  struct stop_ids stop;
  struct packed_content content;
  int calls, most; // of the watcher; how many it lets pass
  size_t written, total;
};

static bool watch(void *context, size_t written, size_t total, struct error *err) {
  struct fixture *fixture = context;
  assert_true(written > fixture->written && written <= total);
  fixture->written = written;
  fixture->total = total;
  return fixture->calls++ < fixture->most ? true : (fail)(err, "enough");
}

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  struct error err;
  strcpy(f->folder, P_tmpdir "/getp-test-XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  snprintf(f->path, sizeof f->path, "%s/file", f->folder);
  assert_true(safetensors_open(&f->checkpoint, "tests/models/abacus", &err));
  engine_model(&f->config);
  f->stop = (struct stop_ids){.n = 2, .id = {1016, 7}};
  f->content = (struct packed_content){
      engine_weights(), &f->config, f->checkpoint, &f->stop, {"{\"version\":1}", 13}};
  f->most = 1000000;
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  unlink(f->path);
  assert_int_equal(rmdir(f->folder), 0); // nothing else is left
  safetensors_close(f->checkpoint);
  free(f);
  return 0;
}

static void write_file(struct fixture *f) {
  struct error err;
  f->calls = 0;
  f->written = 0;
  assert_true(packed_write(f->path, &f->content, watch, f, &err));
}

static bool open_file(const struct fixture *f, struct packed *packed, struct error *err) {
  return packed_open(packed, f->path, &f->content.table, &f->config, err);
}

static void assert_refused(const struct fixture *f, const char *message) {
  struct packed packed;
  struct error err;
  assert_false(open_file(f, &packed, &err));
  assert_null(packed.map);
  assert_int_equal(strncmp(err.text, f->path, strlen(f->path)), 0);
  assert_string_equal(err.text + strlen(f->path), message);
}

static void assert_other(const struct fixture *f) {
  char want[256];
  snprintf(want, sizeof want,
           ": want a file packed for this %s, found one for other weights or another config.json: "
           "pack the checkpoint anew",
           f->content.table.tree);
  assert_refused(f, want);
}

static void a_file_holds_every_tensor(void **state) {
  struct fixture *f = *state;
  const struct weight_table *table = &f->content.table;
  struct packed packed;
  struct error err;
  size_t end = table->packed_bytes, bytes = 0, reached = 0;
  write_file(f);
  assert_true(packed_is(f->path) && open_file(f, &packed, &err));
  assert_int_equal((uintptr_t)packed.image % 4096, 0);
  for (int i = 0; i < table->n; i++) {
    struct weight_view weight;
    assert_true(weight_find(&weight, &table->specs[i], f->checkpoint, &err));
    const size_t n = weight_bytes(&table->specs[i]);
    uint8_t *want = malloc(n);
    weight_read(&weight, 0, n, want);
    const size_t place = weight_offset(&table->specs[i], &end);
    const uint8_t *got = packed.image + place;
    assert_int_equal((uintptr_t)got % 64, 0);
    if (table->specs[i].offset !=
        WEIGHT_MAPPED) { // the generator and weights.c count the same bytes
      assert_int_equal(place, reached);
      reached = (place + n + 63) / 64 * 64;
    }
    assert_true(got + n <= packed.map + packed.bytes);
    assert_memory_equal(got, want, n);
    free(want);
    bytes += n;
  }
  assert_int_equal(reached, table->packed_bytes);
  assert_int_equal(f->written, bytes);
  assert_int_equal(f->total, bytes);
  assert_int_equal(packed.tokenizer.n, 13);
  assert_memory_equal(packed.tokenizer.bytes, "{\"version\":1}", 13);
  assert_int_equal(packed.stop.n, 2);
  assert_memory_equal(packed.stop.id, f->stop.id, 2 * sizeof *f->stop.id);
  packed_close(&packed);
  packed_close(&packed);
}

static void no_tokenizer_is_no_bytes(void **state) {
  struct fixture *f = *state;
  struct packed packed;
  struct error err;
  f->content.tokenizer = (struct text){0};
  write_file(f);
  assert_true(open_file(f, &packed, &err));
  assert_int_equal(packed.tokenizer.n, 0);
  packed_close(&packed);
}

static void another_model_is_refused(void **state) {
  struct fixture *f = *state;
  write_file(f);
  f->config.window++;
  assert_other(f);
  f->config.window--;
  f->config.layer_types[1] = 's';
  assert_other(f);
  f->config.layer_types[1] = 'f';
  f->config.rope.factor += 1e-9;
  assert_other(f);
}

static void another_table_is_refused(void **state) {
  struct fixture *f = *state;
  struct weight_table *table = &f->content.table;
  struct weight_spec *rows = malloc((size_t)table->n * sizeof *rows);
  struct packed packed;
  struct error err;
  memcpy(rows, table->specs, (size_t)table->n * sizeof *rows);
  write_file(f);
  table->specs = rows;
  rows[4].layout++;
  assert_other(f);
  rows[4].layout--;
  rows[4].offset += 64;
  assert_other(f);
  rows[4].offset -= 64;
  table->n--;
  assert_other(f);
  table->n++;
  assert_true(open_file(f, &packed, &err));
  packed_close(&packed);
  free(rows);
}

static void another_tree_is_refused(void **state) {
  struct fixture *f = *state;
  char want[256];
  write_file(f);
  snprintf(want, sizeof want,
           ": want a file packed for abacus-2, found one for %s: pack it with this getp",
           f->content.table.tree);
  f->content.table.tree = "abacus-2";
  assert_refused(f, want);
}

// Whatever byte of the head is changed, and wherever the file ends.
static void damage_is_refused(void **state) {
  enum { HEAD = 368, NUMBERS = 16 }; // the magic word is packed_is's
  struct fixture *f = *state;
  struct packed packed;
  struct error err;
  uint8_t byte;
  write_file(f);
  FILE *file = fopen(f->path, "r+b");
  setbuf(file, NULL);
  for (int at = NUMBERS; at < HEAD; at++) {
    assert_true(fseek(file, at, SEEK_SET) == 0 && fread(&byte, 1, 1, file) == 1);
    byte ^= (uint8_t)(1 << at % 8);
    assert_true(fseek(file, at, SEEK_SET) == 0 && fwrite(&byte, 1, 1, file) == 1);
    assert_false(open_file(f, &packed, &err));
    const char *want = at < NUMBERS + 4 ? ": want packing version " : ": want an undamaged head, ";
    assert_non_null(strstr(err.text, want));
    byte ^= (uint8_t)(1 << at % 8);
    assert_true(fseek(file, at, SEEK_SET) == 0 && fwrite(&byte, 1, 1, file) == 1);
  }
  fclose(file);
  assert_true(open_file(f, &packed, &err));
  const size_t bytes = packed.bytes;
  packed_close(&packed);
  const size_t ends[] = {HEAD, HEAD + 5, 4096, bytes / 2, bytes - 1, bytes + 1};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    char want[128];
    snprintf(want, sizeof want, ": want %zu bytes, found %zu: pack the checkpoint anew", bytes,
             ends[i]);
    assert_int_equal(truncate(f->path, (off_t)ends[i]), 0);
    assert_refused(f, want);
  }
  assert_int_equal(truncate(f->path, HEAD - 1), 0);
  assert_refused(f, ": want an undamaged head, found a damaged one: pack the checkpoint anew");
  assert_int_equal(truncate(f->path, 15), 0);
  assert_false(packed_is(f->path));
}

static void put_old_file(const struct fixture *f) {
  FILE *file = fopen(f->path, "w");
  assert_true(fputs("old", file) >= 0 && fclose(file) == 0);
}

static void assert_old_file(const struct fixture *f) {
  char text[8] = {0};
  FILE *file = fopen(f->path, "r");
  assert_int_equal(fread(text, 1, sizeof text - 1, file), 3);
  assert_string_equal(text, "old");
  fclose(file);
}

static void a_writing_that_is_stopped_leaves_nothing(void **state) {
  struct fixture *f = *state;
  struct error err;
  write_file(f);
  const int pieces = f->calls;
  put_old_file(f);
  for (f->most = 0; f->most < pieces; f->most += 7) {
    f->calls = 0;
    f->written = 0;
    assert_false(packed_write(f->path, &f->content, watch, f, &err));
    assert_string_equal(err.text, "enough");
    assert_old_file(f);
  }
}

static void a_tensor_that_is_missing_leaves_nothing(void **state) {
  struct fixture *f = *state;
  struct safetensors *other;
  struct error err;
  assert_true(safetensors_open(&other, "tests/models/rand_mxfp4", &err));
  f->content.checkpoint = other;
  put_old_file(f);
  assert_false(packed_write(f->path, &f->content, watch, f, &err));
  assert_non_null(strstr(err.text, "model.embed_tokens.weight"));
  assert_old_file(f);
  safetensors_close(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_file_holds_every_tensor, setup, teardown),
      cmocka_unit_test_setup_teardown(no_tokenizer_is_no_bytes, setup, teardown),
      cmocka_unit_test_setup_teardown(another_model_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(another_table_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(another_tree_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(damage_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(a_writing_that_is_stopped_leaves_nothing, setup, teardown),
      cmocka_unit_test_setup_teardown(a_tensor_that_is_missing_leaves_nothing, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
