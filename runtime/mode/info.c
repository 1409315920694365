// info: prints what a checkpoint is, `KEY: VALUE` per line, without loading its weights.
#include "engine/engine.h"
#include "mode/mode.h"
#include "terminal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_DTYPES = 32 };

struct info {
  const char *path;
  struct terminal out; // a file's names and dtypes are texts of others
  struct model_config config;
  struct error why; // config is not valid
  bool has_config;
  struct checkpoint *checkpoint;
};

__attribute__((format(printf, 2, 3))) static void line(struct info *info, const char *format, ...) {
  char *text;
  va_list values;
  va_start(values, format);
  const int n = vasprintf(&text, format, values);
  va_end(values);
  if (n < 0)
    return;
  terminal_write(&info->out, text, (size_t)n);
  terminal_write(&info->out, "\n", 1);
  free(text);
}

// ---- the model ----

static void print_layers(struct info *info) {
  const struct model_config *config = &info->config;
  char text[CONFIG_MAX_LAYERS * 9 + 1];
  size_t used = 0;
  for (int i = 0; i < config->n_layers; i++)
    used += (size_t)snprintf(text + used, sizeof text - used, " %s",
                             config->layer_types[i] == 's' ? "sliding" : "full");
  line(info, "layer_types:%s", text);
}

static void print_rope(struct info *info) {
  const struct rope_config *rope = &info->config.rope;
  line(info, "rope_type: %s", rope->yarn ? "yarn" : "default");
  line(info, "rope_theta: %.9g", rope->theta);
  if (!rope->yarn)
    return;
  line(info, "factor: %.9g", rope->factor);
  line(info, "beta_fast: %.9g", rope->beta_fast);
  line(info, "beta_slow: %.9g", rope->beta_slow);
  line(info, "original_max_position_embeddings: %.9g", rope->original_max_positions);
  line(info, "truncate: %s", rope->truncate ? "true" : "false");
  line(info, "attention_factor: %.9g", rope->attention_factor);
}

static void print_model(struct info *info) {
  const struct model_config *config = &info->config;
  const struct {
    const char *key;
    int32_t value;
  } whole[] = {
      {"vocab_size", config->vocab},
      {"hidden_size", config->d_model},
      {"intermediate_size", config->d_ff},
      {"num_hidden_layers", config->n_layers},
      {"num_attention_heads", config->n_heads},
      {"num_key_value_heads", config->n_kv_heads},
      {"head_dim", config->d_head},
      {"num_local_experts", config->n_experts},
      {"num_experts_per_tok", config->top_k},
      {"sliding_window", config->window},
  };
  if (!info->has_config) {
    line(info, "config: %s", info->why.text);
    return;
  }
  for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
    line(info, "%s: %" PRId32, whole[i].key, whole[i].value);
  print_layers(info);
  line(info, "rms_norm_eps: %.9g", config->eps);
  line(info, "swiglu_limit: %.9g", config->limit);
  line(info, "swiglu_alpha: %.9g", config->alpha);
  line(info, "attention_bias: %s", config->attention_bias ? "true" : "false");
  line(info, "tie_word_embeddings: %s", config->tied ? "true" : "false");
  print_rope(info);
  line(info, "experts: %s", config->mxfp4 ? "MXFP4" : "unpacked");
}

// ---- the tensors ----

struct count {
  const char *dtype;
  size_t tensors, bytes;
};

// The count of a dtype. The last one is for all dtypes that there is no room for.
static struct count *count_of(struct count *counts, const char *dtype) {
  int i = 0;
  while (i < MAX_DTYPES - 1 && counts[i].dtype && strcmp(counts[i].dtype, dtype) != 0)
    i++;
  if (!counts[i].dtype)
    counts[i].dtype = i < MAX_DTYPES - 1 ? dtype : "other dtypes";
  return &counts[i];
}

static void print_tensors(struct info *info) {
  struct count counts[MAX_DTYPES] = {{0}}, total = {"total", 0, 0};
  const struct tensor *tensor;
  for (size_t i = 0; (tensor = checkpoint_at(info->checkpoint, i)); i++) {
    struct count *count = count_of(counts, tensor_dtype_name(tensor));
    count->tensors++;
    count->bytes += tensor->bytes;
    total.tensors++;
    total.bytes += tensor->bytes;
  }
  for (int i = 0; i < MAX_DTYPES && counts[i].dtype; i++)
    line(info, "%s: %zu tensors, %zu bytes", counts[i].dtype, counts[i].tensors, counts[i].bytes);
  line(info, "total: %zu tensors, %zu bytes", total.tensors, total.bytes);
}

// ---- the other files ----

static void print_stop_ids(struct info *info, const struct stop_ids *stop, bool assumed) {
  char ids[MAX_STOP_IDS * 12] = "";
  for (int i = 0; i < stop->n; i++)
    snprintf(ids + strlen(ids), sizeof ids - strlen(ids), " %" PRId32, stop->id[i]);
  line(info, "stop ids:%s%s", stop->n ? ids : " none", assumed ? ", as no file has any" : "");
}

static void print_other_files(struct info *info) {
  struct error err;
  struct stop_ids stop;
  bool assumed;
  char *tokenizer = checkpoint_file(info->checkpoint, "tokenizer.json", &err);
  line(info, "tokenizer: %s", tokenizer && access(tokenizer, F_OK) == 0 ? tokenizer : "none");
  free(tokenizer);
  const int32_t vocab = info->has_config ? info->config.vocab : INT32_MAX;
  if (checkpoint_stop_ids(info->checkpoint, &stop, vocab, &assumed, &err))
    print_stop_ids(info, &stop, assumed);
  else
    line(info, "stop ids: none: %s", err.text);
}

// ---- whether it runs ----

// Fails with the first thing that session_open or loading the weights would refuse.
static bool check_runs(const struct info *info, struct error *err) {
  const struct weight_table table = engine_weights();
  struct model_config generated;
  struct weight_view view;
  engine_model(&generated);
  if (!info->has_config)
    return fail(err, "%s", info->why.text);
  if (!checkpoint_is_for(info->path, &generated, &info->config, err))
    return false;
  for (int i = 0; i < table.n; i++)
    if (!weight_find(&view, &table.specs[i], info->checkpoint, err))
      return false;
  return true;
}

// Prints a word of a shell's command line.
static void quote(char *out, const char *text) {
  static const char PLAIN[] = "_./+:,@-";
  bool plain = *text;
  for (const char *c = text; *c; c++)
    plain = plain && (isalnum((unsigned char)*c) || strchr(PLAIN, *c));
  if (plain) {
    strcpy(out, text);
    return;
  }
  *out++ = '\'';
  for (; *text; text++)
    out = *text == '\'' ? stpcpy(out, "'\\''") : (*out = *text, out + 1);
  strcpy(out, "'");
}

// A name for the tree of this checkpoint: the last name of its path, as far as a tree can have it.
static void name_tree(char *out, const char *path) {
  size_t n = strlen(path);
  while (n > 0 && path[n - 1] == '/')
    n--;
  if (n > 9 && strncmp(path + n - 9, "/original", 9) == 0)
    n -= 9;
  size_t first = n;
  while (first > 0 && path[first - 1] != '/')
    first--;
  if (n > first + 4 && strncmp(path + n - 4, ".bin", 4) == 0)
    n -= 4;
  while (first < n && !isalnum((unsigned char)path[first]) && path[first] != '_')
    first++;
  if (first == n)
    out = stpcpy(out, "model");
  for (size_t i = first; i < n; i++)
    *out++ = isalnum((unsigned char)path[i]) || strchr("._-", path[i]) ? path[i] : '-';
  const struct engine_tree tree = engine_tree();
  sprintf(out, "-%s%s", tree.target, strcmp(tree.precision, "fp32") == 0 ? "-fp32" : "");
}

static void print_command(struct info *info) {
  const char *config = checkpoint_config_path(info->checkpoint);
  const struct engine_tree tree = engine_tree();
  char *quoted = malloc(4 * strlen(config) + 3), *name = malloc(strlen(info->path) + 64);
  if (quoted && name) {
    quote(quoted, config);
    name_tree(name, info->path);
    line(info,
         "make one that does: lua5.4 gen/main.lua --config %s --target %s%s --name %s && ninja %s",
         quoted, tree.target, strcmp(tree.precision, "fp32") == 0 ? " --precision fp32" : "", name,
         name);
  }
  free(quoted);
  free(name);
}

static void print_runs(struct info *info) {
  struct error err;
  line(info, "program: %s", engine_tree().name);
  if (check_runs(info, &err)) {
    line(info, "runs here: yes");
    return;
  }
  line(info, "runs here: no: %s", err.text);
  if (info->has_config)
    print_command(info);
}

// ---- both kinds of files ----

static const char *kind_text(const struct checkpoint *checkpoint) {
  switch (checkpoint_kind(checkpoint)) {
  case CHECKPOINT_HF:
    return "Hugging Face folder";
  case CHECKPOINT_ORIGINAL:
    return "folder of OpenAI's original layout";
  default:
    return checkpoint_at(checkpoint, 0)->dtype == DTYPE_F32 ? "exporter's .bin in FP32"
                                                            : "exporter's .bin in BF16";
  }
}

static bool print_checkpoint(struct info *info, struct error *err) {
  info->has_config = checkpoint_config(&info->config, info->path, &info->why);
  if (!info->has_config)
    info->config = (struct model_config){0};
  if (!checkpoint_open(&info->checkpoint, info->path, &info->config, err))
    return false;
  line(info, "checkpoint: %s", info->path);
  line(info, "kind: %s", kind_text(info->checkpoint));
  print_model(info);
  print_tensors(info);
  print_other_files(info);
  print_runs(info);
  checkpoint_close(info->checkpoint);
  return true;
}

static bool print_packed(struct info *info, struct error *err) {
  const struct weight_table table = engine_weights();
  struct packed packed, own;
  struct error why;
  engine_model(&info->config);
  if (!packed_open_any(&packed, info->path, err))
    return false;
  line(info, "checkpoint: %s", info->path);
  line(info, "kind: packed file of %s", packed.tree);
  line(info, "total: %zu bytes", packed.bytes);
  line(info, "tokenizer: %s", packed.tokenizer.n > 0 ? "in the file" : "none");
  print_stop_ids(info, &packed.stop, false);
  line(info, "checksum: %s", packed_verify(&packed, NULL, NULL, &why) ? "right" : why.text);
  line(info, "program: %s", table.tree);
  info->has_config = packed_open(&own, info->path, &table, &info->config, &why);
  line(info, "runs here: %s%s",
       info->has_config ? "yes" : "no: ", info->has_config ? "" : why.text);
  if (info->has_config)
    print_model(info); // that of this program; the file does not state it
  packed_close(&own);
  packed_close(&packed);
  return true;
}

int mode_info(const struct options *options, struct error *err) {
  struct info info = {.path = options->checkpoint, .out = terminal_open(stdout)};
  const bool ok = packed_is(info.path) ? print_packed(&info, err) : print_checkpoint(&info, err);
  terminal_end(&info.out);
  return ok ? 0 : -1;
}
