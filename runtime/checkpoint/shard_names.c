#include "checkpoint/shard_names.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char ENDING[] = ".safetensors";
static const char BETWEEN[] = "-of-";

enum {
  MOST_DIGITS = 8, // of a number
  SHOWN = 4,       // names in a message
};

// The parts of PREFIX-NUMBER-of-COUNT.safetensors. A file that is no shard is all prefix.
struct parts {
  char *name;
  size_t prefix; // bytes
  size_t digits; // of the number; 0: it is no shard
  long number, count;
  const char *rest; // what comes after the number
};

// Reads up to MOST_DIGITS digits. Returns how many there are; the value is -1 if there are none.
static size_t read_digits(const char *text, long *value) {
  const size_t n = strspn(text, "0123456789");
  *value = n > 0 && n <= MOST_DIGITS ? strtol(text, NULL, 10) : -1;
  return n;
}

static struct parts parts_of(char *name) {
  struct parts parts = {.name = name, .prefix = strlen(name), .rest = ""};
  const char *between = NULL;
  for (const char *at = name; (at = strstr(at, BETWEEN)); at++)
    between = at;
  size_t first = between ? (size_t)(between - name) : 0;
  while (first > 0 && name[first - 1] >= '0' && name[first - 1] <= '9')
    first--;
  if (!between || first == 0 || name[first - 1] != '-')
    return parts;
  const size_t digits = read_digits(name + first, &parts.number);
  const char *count = between + strlen(BETWEEN), *end = count + read_digits(count, &parts.count);
  if (parts.number >= 0 && parts.count >= 0 && strcmp(end, ENDING) == 0) {
    parts.prefix = first - 1;
    parts.digits = digits;
    parts.rest = between;
  }
  return parts;
}

// Orders names by their sets.
static int compare_set(const struct parts *a, const struct parts *b) {
  const size_t shorter = a->prefix < b->prefix ? a->prefix : b->prefix;
  const int order = strncmp(a->name, b->name, shorter);
  if (order != 0)
    return order;
  if (a->prefix != b->prefix)
    return a->prefix < b->prefix ? -1 : 1;
  if (a->digits != b->digits)
    return a->digits < b->digits ? -1 : 1;
  return strcmp(a->rest, b->rest);
}

static int compare(const void *left, const void *right) {
  const struct parts *a = left, *b = right;
  const int order = compare_set(a, b);
  return order ? order : (a->number > b->number) - (a->number < b->number);
}

// The end of the set that begins at `first`.
static size_t end_of_set(const struct parts *parts, size_t first, size_t n) {
  size_t end = first + 1;
  while (end < n && parts[first].digits > 0 && compare_set(&parts[first], &parts[end]) == 0)
    end++;
  return end;
}

// True for model-NUMBER and for model--NUMBER.
static bool is_of_model(const struct parts *parts) {
  return parts->digits > 0 &&
         (parts->prefix == strlen("model") || parts->prefix == strlen("model-")) &&
         strncmp(parts->name, "model-", strlen("model-")) == 0;
}

// Finds the one set, or the one set of a model. Returns false if that is none or a choice.
static bool choose_set(const struct parts *parts, size_t n, size_t *first, size_t *end) {
  size_t sets = 0, of_model = 0, last = 0, last_of_model = 0;
  for (size_t at = 0; at < n; at = end_of_set(parts, at, n)) {
    sets++;
    last = at;
    if (is_of_model(&parts[at])) {
      of_model++;
      last_of_model = at;
    }
  }
  *first = of_model == 1 ? last_of_model : last;
  *end = n > 0 ? end_of_set(parts, *first, n) : 0;
  return of_model == 1 || sets == 1;
}

// Appends a name to a list in a message, which is cut off after SHOWN names.
static void show(char *text, size_t bytes, size_t index, size_t n, const char *name) {
  const size_t used = strlen(text);
  if (index < SHOWN)
    snprintf(text + used, bytes - used, "%s%.200s", index > 0 ? ", " : "", name);
  else if (index == SHOWN)
    snprintf(text + used, bytes - used, " and %zu more", n - index);
}

static bool refuse_choice(const char *directory, const struct parts *parts, size_t n,
                          struct error *err) {
  char text[SHOWN * 210] = "";
  for (size_t i = 0; i < n; i++)
    show(text, sizeof text, i, n, parts[i].name);
  return fail(err, "%s: want model.safetensors or model.safetensors.index.json in it, found %s",
              directory, n > 0 ? text : "neither");
}

// Every number of the set must be there. `parts` are n shards of one set, by number.
static bool check_complete(const char *directory, const struct parts *parts, size_t n,
                           struct error *err) {
  const struct parts *one = &parts[0];
  const long first = one->number == 0 ? 0 : 1, last = one->count;
  char text[SHOWN * 210] = "";
  size_t missing = 0, there = 0;
  const size_t want = (size_t)(last - first + 1), lacks = want > n ? want - n : 0;
  if (parts[n - 1].number > last)
    return fail(err, "%s/%s: want a shard with a number up to %ld, found one above it", directory,
                parts[n - 1].name, last);
  for (long number = first; number <= last && missing <= SHOWN; number++) {
    char name[256];
    if (there < n && parts[there].number == number) {
      there++;
      continue;
    }
    snprintf(name, sizeof name, "%.*s-%0*ld%s", (int)(one->prefix < 200 ? one->prefix : 200),
             one->name, (int)one->digits, number, one->rest);
    show(text, sizeof text, missing++, lacks, name);
  }
  return lacks == 0 ? true
                    : fail(err, "%s: want %zu shards in it, found %zu of them, without %s",
                           directory, want, n, text);
}

static bool is_file_name(const char *name) {
  const size_t n = strlen(name), ending = strlen(ENDING);
  return name[0] != '.' && n > ending && strcmp(name + n - ending, ENDING) == 0;
}

static bool append(struct shard_names *names, const char *name) {
  char **grown = realloc(names->name, (names->n + 1) * sizeof *grown);
  if (!grown)
    return false;
  names->name = grown;
  grown[names->n] = strdup(name);
  return grown[names->n++] != NULL;
}

static bool list_files(struct shard_names *names, const char *directory, struct error *err) {
  DIR *folder = opendir(directory);
  if (!folder)
    return fail(err, "%s: %s", directory, strerror(errno));
  bool ok = true;
  for (const struct dirent *entry; ok && (entry = readdir(folder));)
    ok = !is_file_name(entry->d_name) || append(names, entry->d_name);
  closedir(folder);
  return ok ? true : fail(err, "%s: out of memory for the names in it", directory);
}

// Keeps those names that `parts` has from `first` to before `end`, in its order.
static void keep(struct shard_names *names, const struct parts *parts, size_t first, size_t end) {
  for (size_t i = 0; i < names->n; i++) {
    if (i < first || i >= end)
      free(parts[i].name);
    else
      names->name[i - first] = parts[i].name;
  }
  names->n = end - first;
}

static bool choose(struct shard_names *names, const char *directory, struct error *err) {
  struct parts *parts = calloc(names->n + 1, sizeof *parts);
  size_t first, end;
  if (!parts)
    return fail(err, "%s: out of memory for the names in it", directory);
  for (size_t i = 0; i < names->n; i++)
    parts[i] = parts_of(names->name[i]);
  qsort(parts, names->n, sizeof *parts, compare);
  bool ok =
      choose_set(parts, names->n, &first, &end)
          ? parts[first].digits == 0 || check_complete(directory, parts + first, end - first, err)
          : refuse_choice(directory, parts, names->n, err);
  if (ok)
    keep(names, parts, first, end);
  free(parts);
  return ok;
}

bool shard_names_find(struct shard_names *names, const char *directory, struct error *err) {
  *names = (struct shard_names){0};
  if (list_files(names, directory, err) && choose(names, directory, err))
    return true;
  shard_names_free(names);
  return false;
}

void shard_names_free(struct shard_names *names) {
  for (size_t i = 0; i < names->n; i++)
    free(names->name[i]);
  free(names->name);
  *names = (struct shard_names){0};
}
