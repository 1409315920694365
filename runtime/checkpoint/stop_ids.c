#include "checkpoint/stop_ids.h"

#include "base/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

// True for a whole number in [0, vocab), written 4 or 4.0.
static bool is_token_id(const json_t *value, int32_t vocab) {
  const double number = json_number_value(value);
  return json_is_number(value) && number == floor(number) && number >= 0 && number < vocab;
}

static bool add_stop_id(struct stop_ids *stop, const json_t *value, const char *path, int32_t vocab,
                        struct error *err) {
  char want[64];
  snprintf(want, sizeof want, "token ids below %" PRId32 ", at most %d", vocab, MAX_STOP_IDS);
  if (stop->n == MAX_STOP_IDS || !is_token_id(value, vocab))
    return json_refuse(path, "eos_token_id", want, value, err);
  stop->id[stop->n++] = (int32_t)json_number_value(value);
  return true;
}

// Reads a single id or a list. Leaves stop->n at 0 if the file does not have the key.
static bool read_stop_ids(struct stop_ids *stop, const char *directory, const char *name,
                          int32_t vocab, struct error *err) {
  struct json_file file;
  if (!json_file_open(&file, directory, name, err))
    return false;
  const json_t *value = json_object_get(file.root, "eos_token_id");
  bool ok = true;
  if (value && !json_is_null(value) && !json_is_array(value))
    ok = add_stop_id(stop, value, file.path, vocab, err);
  for (size_t i = 0; ok && i < json_array_size(value); i++)
    ok = add_stop_id(stop, json_array_get(value, i), file.path, vocab, err);
  json_file_close(&file);
  return ok;
}

static bool read_if_any(struct stop_ids *stop, const char *directory, const char *name,
                        int32_t vocab, struct error *err) {
  bool exists;
  if (stop->n > 0)
    return true;
  return json_file_exists(&exists, directory, name, err) &&
         (!exists || read_stop_ids(stop, directory, name, vocab, err));
}

bool stop_ids_find(struct stop_ids *stop, const char *directory, int32_t vocab, struct error *err) {
  *stop = (struct stop_ids){0};
  return read_if_any(stop, directory, "generation_config.json", vocab, err) &&
         read_if_any(stop, directory, "config.json", vocab, err);
}

void stop_ids_assume(struct stop_ids *stop, int32_t vocab) {
  static const int32_t IDS[] = {200002, 199999, 200012};
  *stop = (struct stop_ids){0};
  for (size_t i = 0; i < sizeof IDS / sizeof *IDS; i++)
    if (IDS[i] < vocab)
      stop->id[stop->n++] = IDS[i];
}

bool stop_ids_read(struct stop_ids *stop, const char *directory, int32_t vocab, struct error *err) {
  *stop = (struct stop_ids){0};
  if (!read_if_any(stop, directory, "generation_config.json", vocab, err))
    return false;
  if (stop->n == 0 && !read_stop_ids(stop, directory, "config.json", vocab, err))
    return false;
  return stop->n > 0 || fail(err, "%s: eos_token_id: want an id in generation_config.json or in %s",
                             directory, "config.json, found none");
}

bool is_stop_id(const struct stop_ids *stop, int32_t id) {
  for (int i = 0; i < stop->n; i++)
    if (stop->id[i] == id)
      return true;
  return false;
}
