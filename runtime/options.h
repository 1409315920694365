// The command line of getp.
#ifndef GETP_OPTIONS_H
#define GETP_OPTIONS_H

#include "base/error.h"

#include <stdint.h>

enum mode { MODE_GENERATE, MODE_CHAT, MODE_GETP, MODE_LOGITS, MODE_DECODE, MODE_PACK };

struct options {
  enum mode mode;
  bool help;
  bool plan;              // print the memory plan and nothing else
  bool reference;         // logits by reference.c
  bool profile;           // print where the time went
  const char *trace;      // file for the times of all steps, or NULL
  const char *checkpoint; // folder, or packed file; NULL for decode
  const char *tokenizer;  // tokenizer.json; NULL: the checkpoint's
  const char *input;      // text (generate, chat) or file (getp, logits, decode)
  const char *output;     // file (getp, logits, pack)
  const char *system;     // chat: the system message, or NULL
  float temperature, top_p;
  uint64_t seed; // 0: by the clock
  int steps;     // prompt and output together; 0: the context
  int slots;     // 0: as many as the engine has
  int chunk;     // 0: as many rows as the engine takes
};

// Refuses, by flag, what it does not know, a value out of range, and a flag that the mode needs.
bool options_parse(struct options *options, int argc, char **argv, struct error *err);

extern const char OPTIONS_HELP[];

#endif
