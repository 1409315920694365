// Packed files of abacus, for any tree of it: their content, what is refused, and that a failure
// while writing leaves nothing.
#include "engine/engine.h"

#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
  char *folder, path[PATH_BYTES];
  struct checkpoint *checkpoint;
  struct model_config config;
  struct stop_ids stop;
  struct packed_content content;
  int calls, most; // calls of the watcher; after `most` it fails
  size_t written, total;
};

static bool watch(void *context, size_t written, size_t total, struct error *err) {
  struct fixture *fixture = context;
  assert_true(written > fixture->written && written <= total);
  fixture->written = written;
  fixture->total = total;
  return fixture->calls++ < fixture->most ? true : fail(err, "enough");
}

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof *f);
  f->folder = new_folder();
  path_in(f->path, f->folder, "file");
  f->checkpoint = open_checkpoint(MODELS "abacus");
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
  assert_int_equal(rmdir(f->folder), 0); // fails if there is another file
  free(f->folder);
  checkpoint_close(f->checkpoint);
  free(f);
  return 0;
}

static void write_packed(struct fixture *f) {
  struct error err;
  f->calls = 0;
  f->written = 0;
  assert_true(packed_write(f->path, &f->content, watch, f, &err));
}

static bool open_packed(const struct fixture *f, struct packed *packed, struct error *err) {
  return packed_open(packed, f->path, &f->content.table, &f->config, err);
}

static void assert_refused(const struct fixture *f, const char *message) {
  struct packed packed;
  struct error err;
  assert_false(open_packed(f, &packed, &err));
  assert_null(packed.map);
  assert_int_equal(strncmp(err.text, f->path, strlen(f->path)), 0);
  assert_string_equal(err.text + strlen(f->path), message);
}

// Asserts that a file is refused because of its weights or its config.
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
  write_packed(f);
  assert_true(packed_is(f->path) && open_packed(f, &packed, &err));
  assert_int_equal((uintptr_t)packed.image % 4096, 0);
  for (int i = 0; i < table->n; i++) {
    struct weight_view view;
    assert_true(weight_find(&view, &table->specs[i], f->checkpoint, &err));
    const size_t n = weight_bytes(&table->specs[i]);
    uint8_t *want = malloc(n);
    weight_read(&view, 0, n, want);
    const size_t offset = weight_offset(&table->specs[i], &end);
    const uint8_t *got = packed.image + offset;
    assert_int_equal((uintptr_t)got % 64, 0);
    if (table->specs[i].offset != WEIGHT_MAPPED) { // the generator counts the same bytes
      assert_int_equal(offset, reached);
      reached = (offset + n + 63) / 64 * 64;
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

static void a_file_may_lack_the_tokenizer(void **state) {
  struct fixture *f = *state;
  struct packed packed;
  struct error err;
  f->content.tokenizer = (struct text){0};
  write_packed(f);
  assert_true(open_packed(f, &packed, &err));
  assert_int_equal(packed.tokenizer.n, 0);
  packed_close(&packed);
}

static void another_model_is_refused(void **state) {
  struct fixture *f = *state;
  write_packed(f);
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
  struct weight_spec *specs = malloc((size_t)table->n * sizeof *specs);
  struct packed packed;
  struct error err;
  memcpy(specs, table->specs, (size_t)table->n * sizeof *specs);
  write_packed(f);
  table->specs = specs;
  specs[4].layout++;
  assert_other(f);
  specs[4].layout--;
  specs[4].offset += 64;
  assert_other(f);
  specs[4].offset -= 64;
  table->n--;
  assert_other(f);
  table->n++;
  assert_true(open_packed(f, &packed, &err));
  packed_close(&packed);
  free(specs);
}

static void another_tree_is_refused(void **state) {
  struct fixture *f = *state;
  char want[256];
  write_packed(f);
  snprintf(want, sizeof want,
           ": want a file packed for abacus-2, found one for %s: pack it with this getp",
           f->content.table.tree);
  f->content.table.tree = "abacus-2";
  assert_refused(f, want);
}

// Every byte of the head is changed, and the file is cut off in many places.
static void damage_is_refused(void **state) {
  enum { HEAD = 384, NUMBERS = 16 }; // bytes; packed_is looks at the first NUMBERS
  struct fixture *f = *state;
  struct packed packed;
  struct error err;
  uint8_t byte;
  write_packed(f);
  FILE *file = fopen(f->path, "r+b");
  setbuf(file, NULL);
  for (int at = NUMBERS; at < HEAD; at++) {
    assert_true(fseek(file, at, SEEK_SET) == 0 && fread(&byte, 1, 1, file) == 1);
    byte ^= (uint8_t)(1 << at % 8);
    assert_true(fseek(file, at, SEEK_SET) == 0 && fwrite(&byte, 1, 1, file) == 1);
    assert_false(open_packed(f, &packed, &err));
    const char *want = at < NUMBERS + 4 ? ": want packing version " : ": want an undamaged head, ";
    assert_contains(err.text, want);
    byte ^= (uint8_t)(1 << at % 8);
    assert_true(fseek(file, at, SEEK_SET) == 0 && fwrite(&byte, 1, 1, file) == 1);
  }
  fclose(file);
  assert_true(open_packed(f, &packed, &err));
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

// ---- packed_verify ----

static bool count_pieces(void *context, size_t done, size_t total, struct error *err) {
  struct fixture *fixture = context;
  (void)err;
  assert_true(done <= total);
  fixture->calls++;
  return true;
}

static bool stop(void *context, size_t done, size_t total, struct error *err) {
  (void)context, (void)done, (void)total;
  return fail(err, "enough");
}

static bool verify(const struct fixture *f, struct error *err) {
  struct packed packed;
  assert_true(packed_open_any(&packed, f->path, err));
  const bool ok = packed_verify(&packed, NULL, NULL, err);
  packed_close(&packed);
  return ok;
}

static void assert_damaged(const struct fixture *f) {
  char want[PATH_BYTES + 128];
  struct error err;
  assert_false(verify(f, &err));
  snprintf(want, sizeof want,
           "%s: want undamaged content, found another checksum than its head has: pack the "
           "checkpoint anew",
           f->path);
  assert_string_equal(err.text, want);
}

static void an_undamaged_file_is_verified(void **state) {
  struct fixture *f = *state;
  struct packed packed;
  struct error err;
  write_packed(f);
  f->calls = 0;
  assert_true(open_packed(f, &packed, &err));
  assert_true(packed_verify(&packed, count_pieces, f, &err) && f->calls > 0);
  assert_false(packed_verify(&packed, stop, NULL, &err));
  assert_string_equal(err.text, "enough");
  packed_close(&packed);
}

// One bit is changed in the tokenizer, in the gap after it, and all over the image.
static void damage_of_the_content_is_found(void **state) {
  enum { HEAD = 384, STEP = 131071 };
  struct fixture *f = *state;
  struct error err;
  write_packed(f);
  FILE *file = fopen(f->path, "r+b");
  assert_non_null(file);
  setbuf(file, NULL);
  assert_int_equal(fseek(file, 0, SEEK_END), 0);
  const long bytes = ftell(file);
  const long edges[] = {HEAD, HEAD + 12, HEAD + 13, 4095, 4096, bytes - 1};
  for (long at = HEAD, i = 0; at < bytes; at += STEP, i++) {
    const long here = i < (long)COUNT(edges) ? edges[i] : at;
    fseek(file, here, SEEK_SET);
    const int byte = fgetc(file);
    fseek(file, here, SEEK_SET);
    fputc(byte ^ 1 << here % 8, file);
    assert_damaged(f);
    fseek(file, here, SEEK_SET);
    fputc(byte, file);
  }
  fclose(file);
  assert_true(verify(f, &err));
}

static void lost_and_swapped_pages_are_found(void **state) {
  enum { PAGE = 4096 };
  static uint8_t one[PAGE], other[PAGE];
  static const uint8_t ZEROS[PAGE];
  struct fixture *f = *state;
  write_packed(f);
  for (int change = 0; change < 3; change++) {
    FILE *file = fopen(f->path, "r+b");
    setbuf(file, NULL);
    assert_true(fseek(file, 50 * PAGE, SEEK_SET) == 0 && fread(one, PAGE, 1, file) == 1);
    assert_true(fseek(file, 82 * PAGE, SEEK_SET) == 0 && fread(other, PAGE, 1, file) == 1);
    assert_memory_not_equal(one, other, PAGE);
    fseek(file, 82 * PAGE, SEEK_SET);
    fwrite(change == 0 ? ZEROS : one, PAGE, 1, file);
    fseek(file, 50 * PAGE, SEEK_SET);
    fwrite(change == 2 ? other : one, PAGE, 1, file);
    assert_damaged(f);
    fseek(file, 50 * PAGE, SEEK_SET);
    fwrite(one, PAGE, 1, file);
    fseek(file, 82 * PAGE, SEEK_SET);
    fwrite(other, PAGE, 1, file);
    fclose(file);
  }
}

static void a_file_of_any_tree_can_be_opened_and_verified(void **state) {
  struct fixture *f = *state;
  struct packed packed;
  struct error err;
  f->content.table.tree = "a-tree-that-is-no-more";
  write_packed(f);
  f->content.table.tree = engine_weights().tree;
  assert_false(open_packed(f, &packed, &err));
  assert_true(packed_open_any(&packed, f->path, &err));
  assert_string_equal(packed.tree, "a-tree-that-is-no-more");
  assert_int_equal(packed.stop.n, 2);
  assert_int_equal(packed.tokenizer.n, 13);
  assert_true(packed_verify(&packed, NULL, NULL, &err));
  packed_close(&packed);
}

static void stop_ids_beyond_the_vocabulary_are_refused(void **state) {
  static const int32_t BAD[] = {-1, 1024, INT32_MAX};
  struct fixture *f = *state;
  struct packed packed;
  struct error err;
  for (size_t i = 0; i < COUNT(BAD); i++) {
    char want[128];
    f->stop.id[1] = BAD[i];
    write_packed(f);
    snprintf(want, sizeof want, ": want stop ids below 1024, found %d: pack the checkpoint anew",
             BAD[i]);
    assert_refused(f, want);
  }
  f->stop = (struct stop_ids){.n = 0}; // outputs then end at -n only
  write_packed(f);
  assert_true(open_packed(f, &packed, &err) && packed.stop.n == 0);
  packed_close(&packed);
}

static void stopping_the_writer_leaves_the_old_file(void **state) {
  struct fixture *f = *state;
  struct error err;
  write_packed(f);
  const int pieces = f->calls;
  write_text(f->folder, "file", "old");
  for (f->most = 0; f->most < pieces; f->most += 7) {
    f->calls = 0;
    f->written = 0;
    assert_false(packed_write(f->path, &f->content, watch, f, &err));
    assert_string_equal(err.text, "enough");
    assert_file(f->folder, "file", "old");
  }
}

static void a_missing_tensor_leaves_the_old_file(void **state) {
  struct fixture *f = *state;
  struct checkpoint *other = open_checkpoint(MODELS "rand_mxfp4");
  struct error err;
  f->content.checkpoint = other;
  write_text(f->folder, "file", "old");
  assert_false(packed_write(f->path, &f->content, watch, f, &err));
  assert_contains(err.text, "model.embed_tokens.weight");
  assert_file(f->folder, "file", "old");
  checkpoint_close(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_file_holds_every_tensor, setup, teardown),
      cmocka_unit_test_setup_teardown(a_file_may_lack_the_tokenizer, setup, teardown),
      cmocka_unit_test_setup_teardown(another_model_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(another_table_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(another_tree_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(damage_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(an_undamaged_file_is_verified, setup, teardown),
      cmocka_unit_test_setup_teardown(damage_of_the_content_is_found, setup, teardown),
      cmocka_unit_test_setup_teardown(lost_and_swapped_pages_are_found, setup, teardown),
      cmocka_unit_test_setup_teardown(a_file_of_any_tree_can_be_opened_and_verified, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(stop_ids_beyond_the_vocabulary_are_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(stopping_the_writer_leaves_the_old_file, setup, teardown),
      cmocka_unit_test_setup_teardown(a_missing_tensor_leaves_the_old_file, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
