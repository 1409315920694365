// --plan: prints the memory plan.
#include "device/device.h"
#include "mode/mode.h"

#include <stdio.h>

// Prints a number with commas, as summary.txt does.
static void print_number(size_t n) {
  if (n < 1000) {
    printf("%zu", n);
    return;
  }
  print_number(n / 1000);
  printf(",%03zu", n % 1000);
}

static void print_line(const char *what, size_t bytes, const char *remark) {
  printf("%s: ", what);
  print_number(bytes);
  puts(remark);
}

static size_t sum(const struct memory_plan *plan, bool host) {
  size_t bytes = 0;
  for (int i = 0; i < plan->n; i++)
    bytes += (plan->items[i].kind == MEMORY_HOST) == host ? plan->items[i].bytes : 0;
  return bytes;
}

// Prints how much of the device's memory is free now, or nothing if it has no bound.
static void print_free(size_t needed) {
  struct device *device = NULL;
  struct error err;
  size_t unused, total;
  if (!device_open(&device, &err) || !device_memory_info(device, &unused, &total, &err))
    printf("free on the device: unknown (%s)\n", err.text);
  else if (total > 0)
    print_line("free on the device", unused, needed <= unused ? ", enough" : ", not enough");
  device_close(device);
}

int mode_plan(void) {
  const struct memory_plan plan = engine_plan();
  const size_t on_device = sum(&plan, false);
  for (int i = 0; i < plan.n; i++)
    print_line(plan.items[i].what, plan.items[i].bytes, "");
  print_line("sum on the device", on_device, "");
  print_line("sum on the host", sum(&plan, true), "");
  if (plan.device_bytes == 0)
    puts("memory of the device: not bounded");
  else
    print_line("memory of the device", plan.device_bytes,
               on_device <= plan.device_bytes ? ", it fits" : ", it does not fit");
  print_free(on_device);
  return 0;
}
