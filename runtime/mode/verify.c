// --verify alone: says that a packed file is undamaged.
#include "mode/mode.h"
#include "terminal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

// Prints on stdout, where control characters in a name are made visible on a terminal.
static void print_name(const char *name) {
  struct terminal screen = terminal_open(stdout);
  terminal_write(&screen, name, strlen(name));
  terminal_end(&screen);
}

static bool verify(const char *path, struct error *err) {
  struct packed packed;
  if (access(path, R_OK) != 0)
    return fail(err, "%s: %s", path, strerror(errno));
  if (!packed_is(path))
    return refuse_verify(path, err);
  if (!packed_open_any(&packed, path, err))
    return false;
  const bool ok = verify_packed(&packed, err);
  if (ok) {
    print_name(path);
    printf(": undamaged, %zu bytes packed for ", packed.bytes);
    print_name(packed.tree);
    putchar('\n');
  }
  packed_close(&packed);
  return ok;
}

int mode_verify(const struct options *options, struct error *err) {
  return verify(options->checkpoint, err) ? 0 : -1;
}
