// The command line of getp.
#ifndef GETP_OPTIONS_H
#define GETP_OPTIONS_H

#include "base/error.h"

#include <stdint.h>

enum mode { MODE_GENERATE, MODE_CHAT, MODE_PROMPTS, MODE_LOGITS, MODE_DECODE, MODE_PACK };

struct options {
  enum mode mode;
  bool help;
  bool plan;              // print the memory plan and do nothing else
  bool reference;         // compute the logits with reference.c
  bool profile;           // print the device's time by role
  const char *trace;      // file for the times of all steps, or NULL
  const char *checkpoint; // folder or packed file; NULL for decode
  const char *tokenizer;  // tokenizer.json; NULL: the checkpoint's
  const char *input;      // text (generate, chat) or file (prompts, logits, decode)
  const char *output;     // file (prompts, logits, pack)
  const char *system;     // chat: the system message, or NULL
  float temperature, top_p;
  uint64_t seed;  // 0: from the clock
  int max_tokens; // of prompt and output together; below 1: the context
  int slots;      // 0: the engine's limit
  int chunk;      // 0: the engine's limit
};

// Refuses, by name, an unknown flag, a value out of range, and a mode without a flag that it needs.
bool options_parse(struct options *options, int argc, char **argv, struct error *err);

extern const char OPTIONS_HELP[];

#endif
