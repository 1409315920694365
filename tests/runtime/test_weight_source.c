// The weights of a checkpoint folder and of a packed file: the pieces of both cover the packed
// weights exactly and have the same bytes. On the host a packed file is read in place.
#include "weights/weight_source.h"

#include "support.h"

#include <stdlib.h>
#include <string.h>

enum { NORM, HEAD, ROUTER, Q, Q_BIAS, O, GATE_UP, EMBED, WEIGHTS };

// Weights of abacus in several layouts, four of them mapped; the checkpoint has two of these in
// another dtype. setup fills in the offsets of the others.
static const struct weight_spec SPECS[WEIGHTS] = {
    [NORM] = {"model.norm.weight", FORM_PLAIN, STORED_F32, LAYOUT_CONTIGUOUS, 0, 64, {192}},
    [HEAD] = {"lm_head.weight",
              FORM_PLAIN,
              STORED_BF16,
              LAYOUT_CONTIGUOUS,
              WEIGHT_MAPPED,
              64,
              {1024, 192}},
    [ROUTER] = {"model.layers.0.mlp.router.weight",
                FORM_PLAIN,
                STORED_F32,
                LAYOUT_CONTIGUOUS,
                WEIGHT_MAPPED,
                64,
                {8, 192}},
    [O] = {"model.layers.0.self_attn.o_proj.weight",
           FORM_PLAIN,
           STORED_F32,
           LAYOUT_CONTIGUOUS,
           WEIGHT_MAPPED,
           64,
           {192, 512}},
    [Q] = {"model.layers.0.self_attn.q_proj.weight",
           FORM_PLAIN,
           STORED_F16,
           LAYOUT_PAIRED_TILES,
           0,
           64,
           {512, 192}},
    [Q_BIAS] = {"model.layers.0.self_attn.q_proj.bias",
                FORM_PLAIN,
                STORED_F32,
                LAYOUT_PAIRS,
                0,
                64,
                {512}},
    [GATE_UP] = {"model.layers.0.mlp.experts.gate_up_proj",
                 FORM_MXFP4,
                 STORED_MXFP4,
                 LAYOUT_TILES,
                 0,
                 64,
                 {8, 256, 192}},
    [EMBED] = {"model.embed_tokens.weight",
               FORM_PLAIN,
               STORED_BF16,
               LAYOUT_CONTIGUOUS,
               WEIGHT_MAPPED,
               64,
               {1024, 192}},
};

// True if the folder has the weight as it is stored.
static bool is_mapped(int weight) {
  return weight == HEAD || weight == EMBED;
}

enum { FOLDER, PACKED, ON_HOST, SOURCES };

struct fixture {
  char *folder;
  struct weight_spec specs[WEIGHTS];
  size_t begin[WEIGHTS]; // of those that are packed or converted from the folder
  size_t bytes;          // of all of these
  struct weight_table table;
  struct model_config config;
  struct checkpoint *checkpoint;
  struct packed packed;
  struct weight_source sources[SOURCES];
};

static bool on_piece(void *context, size_t written, size_t total, struct error *err) {
  (void)context, (void)err;
  return written <= total;
}

// Leaves a gap after each packed weight.
static void lay_out(struct fixture *f) {
  size_t end = 0;
  memcpy(f->specs, SPECS, sizeof SPECS);
  for (int i = 0; i < WEIGHTS; i++)
    if (f->specs[i].offset != WEIGHT_MAPPED) {
      f->specs[i].offset = (int64_t)end;
      end = (end + weight_bytes(&f->specs[i])) / 64 * 64 + 128;
    }
  f->table = (struct weight_table){"a-tree", f->specs, WEIGHTS, end, false};
  for (int i = 0; i < WEIGHTS; i++) {
    f->begin[i] = f->specs[i].offset == WEIGHT_MAPPED ? end : (size_t)f->specs[i].offset;
    if (f->specs[i].offset == WEIGHT_MAPPED && !is_mapped(i))
      end += weight_bytes(&f->specs[i]); // a multiple of 64
  }
  f->bytes = end;
}

static int setup(void **state) {
  static const struct stop_ids STOP = {.n = 1, .id = {1016}};
  struct fixture *f = calloc(1, sizeof *f);
  struct error err;
  char path[PATH_BYTES];
  *state = f;
  lay_out(f);
  f->folder = new_folder();
  f->config = read_config(MODELS "abacus");
  f->checkpoint = open_checkpoint(MODELS "abacus");
  path_in(path, f->folder, "packed");
  const struct packed_content content = {f->table, &f->config, f->checkpoint, &STOP, {NULL, 0}};
  if (!packed_write(path, &content, on_piece, NULL, &err) ||
      !packed_open(&f->packed, path, &f->table, &f->config, &err))
    fail_msg("%s", err.text);
  f->sources[FOLDER] = (struct weight_source){.table = f->table, .checkpoint = f->checkpoint};
  f->sources[PACKED] = (struct weight_source){.table = f->table, .packed = &f->packed};
  f->sources[ON_HOST] = f->sources[PACKED];
  f->sources[ON_HOST].table.on_host = true;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;
  void *folder = f->folder;
  packed_close(&f->packed);
  checkpoint_close(f->checkpoint);
  free(f);
  return remove_folder(&folder);
}

static void next(const struct weight_source *source, struct weight_piece *piece, size_t most) {
  struct error err;
  if (!weight_source_next(source, piece, most, &err))
    fail_msg("%s", err.text);
  assert_in_range(piece->bytes, 0, most);
}

// The bytes of the largest granule, a little more, and the size of a staging buffer.
static const size_t MOST[] = {6208, 20000, 16 << 20};

// Weights that are mapped in another dtype come after the packed ones.
static void converted_weights_are_counted(void **state) {
  const struct fixture *f = *state;
  size_t bytes;
  struct error err;
  assert_true(weight_source_bytes(&f->sources[FOLDER], &bytes, &err));
  assert_int_equal(bytes, f->table.packed_bytes + 8 * 192 * 4 + 192 * 512 * 4);
  assert_int_equal(bytes, f->bytes);
  for (int s = PACKED; s <= ON_HOST; s++) {
    assert_true(weight_source_bytes(&f->sources[s], &bytes, &err));
    assert_int_equal(bytes, f->table.packed_bytes);
  }
}

// A folder is packed on the host, too.
static void only_a_packed_file_on_the_host_is_mapped(void **state) {
  struct fixture *f = *state;
  assert_false(weight_source_is_mapped(&f->sources[FOLDER]));
  assert_false(weight_source_is_mapped(&f->sources[PACKED]));
  assert_true(weight_source_is_mapped(&f->sources[ON_HOST]));
  f->sources[FOLDER].table.on_host = true;
  assert_false(weight_source_is_mapped(&f->sources[FOLDER]));
}

static void pieces_of_a_folder_cover_each_packed_weight(void **state) {
  const struct fixture *f = *state;
  for (size_t m = 0; m < COUNT(MOST); m++) {
    struct weight_piece piece = {0};
    next(&f->sources[FOLDER], &piece, MOST[m]);
    for (int i = 0; i < WEIGHTS; i++) {
      const struct weight_spec *spec = &f->specs[i];
      if (is_mapped(i))
        continue;
      const size_t end = f->begin[i] + weight_bytes(spec);
      for (size_t offset = f->begin[i]; offset < end; offset += piece.bytes) {
        if (offset > f->begin[i])
          next(&f->sources[FOLDER], &piece, MOST[m]);
        assert_ptr_equal(piece.view.spec, spec);
        assert_int_equal(piece.offset, offset);
        assert_in_range(piece.bytes, 1, end - offset);
        assert_int_equal(piece.bytes % weight_granule(spec), 0);
      }
      next(&f->sources[FOLDER], &piece, MOST[m]);
    }
    assert_int_equal(piece.bytes, 0);
  }
}

static void pieces_of_a_packed_file_cover_the_packed_weights(void **state) {
  const struct fixture *f = *state;
  for (size_t m = 0; m < COUNT(MOST); m++)
    for (int s = PACKED; s <= ON_HOST; s++) {
      struct weight_piece piece = {0};
      size_t reached = 0;
      for (next(&f->sources[s], &piece, MOST[m]); piece.bytes > 0;
           next(&f->sources[s], &piece, MOST[m])) {
        assert_int_equal(piece.offset, reached);
        reached += piece.bytes;
      }
      assert_int_equal(reached, f->table.packed_bytes);
    }
}

// Reads all packed and converted weights; the caller frees them.
static uint8_t *read_packed(const struct weight_source *source, size_t most) {
  size_t n;
  struct error err;
  assert_true(weight_source_bytes(source, &n, &err));
  uint8_t *bytes = malloc(n);
  struct weight_piece piece = {0};
  assert_non_null(bytes);
  for (next(source, &piece, most); piece.bytes > 0; next(source, &piece, most))
    if (!weight_source_read(source, &piece, bytes + piece.offset, &err))
      fail_msg("%s", err.text);
  return bytes;
}

static void both_files_have_the_same_bytes(void **state) {
  const struct fixture *f = *state;
  for (size_t m = 0; m < COUNT(MOST); m++) {
    uint8_t *folder = read_packed(&f->sources[FOLDER], MOST[m]);
    uint8_t *packed = read_packed(&f->sources[PACKED], MOST[COUNT(MOST) - 1 - m]);
    size_t end = f->table.packed_bytes;
    for (int i = 0; i < WEIGHTS; i++) {
      const struct weight_spec *spec = &f->specs[i];
      const size_t offset = weight_offset(spec, &end);
      const uint8_t *got = spec->offset == WEIGHT_MAPPED ? f->packed.image : packed;
      if (!is_mapped(i))
        assert_memory_equal(folder + f->begin[i], got + offset, weight_bytes(spec));
    }
    free(folder);
    free(packed);
  }
}

static void weights_lie_in_memory_or_in_the_map(void **state) {
  const struct fixture *f = *state;
  for (int s = FOLDER; s <= PACKED; s++) {
    const uint8_t memory[1] = {0}, *weight[WEIGHTS]; // only its address is used
    struct error err;
    assert_true(weight_source_locate(&f->sources[s], memory, weight, &err));
    for (int i = 0; i < WEIGHTS; i++) {
      const struct tensor *tensor = checkpoint_find(f->checkpoint, f->specs[i].name);
      const bool mapped = f->specs[i].offset == WEIGHT_MAPPED;
      if (s == FOLDER ? !is_mapped(i) : !mapped)
        assert_int_equal((uintptr_t)weight[i], (uintptr_t)memory + f->begin[i]);
      else if (s == FOLDER)
        assert_ptr_equal(weight[i], tensor->data);
      else if (is_mapped(i))
        assert_memory_equal(weight[i], tensor->data, tensor->bytes);
    }
  }
}

// Reading a piece of such a source needs no memory and writes nothing.
static void mapped_weights_are_those_of_the_packed_file(void **state) {
  const struct fixture *f = *state;
  const uint8_t *weight[WEIGHTS];
  struct weight_piece piece = {0};
  struct error err;
  size_t end = f->table.packed_bytes;
  assert_true(weight_source_locate(&f->sources[ON_HOST], NULL, weight, &err));
  for (next(&f->sources[ON_HOST], &piece, SIZE_MAX); piece.bytes > 0;
       next(&f->sources[ON_HOST], &piece, SIZE_MAX))
    assert_true(weight_source_read(&f->sources[ON_HOST], &piece, NULL, &err));
  for (int i = 0; i < WEIGHTS; i++)
    assert_ptr_equal(weight[i], f->packed.image + weight_offset(&f->specs[i], &end));
}

static void a_tile_that_does_not_fit_is_refused(void **state) {
  const struct fixture *f = *state;
  struct weight_piece piece = {0};
  struct error err;
  do
    assert_true(weight_source_next(&f->sources[FOLDER], &piece, 100, &err) == (piece.bytes > 0));
  while (piece.bytes > 0);
  assert_string_equal(err.text, "model.layers.0.self_attn.q_proj.weight: want tiles of at most 100 "
                                "bytes, found 6208");
}

static void a_missing_tensor_is_named(void **state) {
  struct fixture *f = *state;
  const uint8_t memory[1] = {0}, *weight[WEIGHTS];
  struct weight_piece piece = {0};
  struct error err;
  f->specs[NORM].name = "no.such.tensor";
  const char *want = MODELS "abacus/model.safetensors: no.such.tensor: want shape [192], found no "
                            "such tensor";
  assert_false(weight_source_locate(&f->sources[FOLDER], memory, weight, &err));
  assert_string_equal(err.text, want);
  assert_false(weight_source_next(&f->sources[FOLDER], &piece, 16 << 20, &err));
  assert_string_equal(err.text, want);
}

static void a_table_of_mapped_weights_has_no_pieces(void **state) {
  const struct fixture *f = *state;
  for (int s = 0; s < SOURCES; s++) {
    struct weight_source source = f->sources[s];
    struct weight_piece piece = {0};
    source.table.specs = &f->specs[HEAD];
    source.table.n = 1;
    source.table.packed_bytes = 0;
    next(&source, &piece, 16 << 20);
    assert_int_equal(piece.bytes, 0);
  }
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_FIXTURE(converted_weights_are_counted),
      WITH_FIXTURE(only_a_packed_file_on_the_host_is_mapped),
      WITH_FIXTURE(pieces_of_a_folder_cover_each_packed_weight),
      WITH_FIXTURE(pieces_of_a_packed_file_cover_the_packed_weights),
      WITH_FIXTURE(both_files_have_the_same_bytes),
      WITH_FIXTURE(weights_lie_in_memory_or_in_the_map),
      WITH_FIXTURE(mapped_weights_are_those_of_the_packed_file),
      WITH_FIXTURE(a_tile_that_does_not_fit_is_refused),
      WITH_FIXTURE(a_missing_tensor_is_named),
      WITH_FIXTURE(a_table_of_mapped_weights_has_no_pieces),
  };
  return cmocka_run_group_tests_name("weight_source", tests, NULL, NULL);
}
