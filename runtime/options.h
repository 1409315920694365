// The command line of getp.
#ifndef GETP_OPTIONS_H
#define GETP_OPTIONS_H

#include "base/error.h"

#include <stdint.h>

enum mode {
  MODE_GENERATE,
  MODE_CHAT,
  MODE_PROMPTS,
  MODE_LOGITS,
  MODE_DECODE,
  MODE_PACK,
  MODE_VERIFY,
  MODE_INFO
};

// What a chat prints of the model's reasoning: nothing, all of it, or it alone without the answer.
enum reasoning { REASONING_SHOW, REASONING_HIDE, REASONING_ONLY };

struct options {
  enum mode mode;
  bool help;
  bool plan;                // print the memory plan and do nothing else
  bool verify;              // compare a packed file with its checksum before anything else
  bool reference;           // compute the logits with reference.c
  bool profile;             // print the device's time by role
  const char *trace;        // file for the times of all steps, or NULL
  const char *checkpoint;   // folder or packed file; decode: or a tokenizer.json, or NULL
  const char *tokenizer;    // tokenizer.json, folder or packed file; NULL: the checkpoint's
  const char *input;        // text (generate, chat) or file (prompts, logits, decode)
  const char *output;       // file (prompts, logits, pack)
  const char *file;         // generate, chat: file with the text of `input`, or NULL
  const char *instructions; // chat: the text of the developer message, or NULL
  const char *tools;        // chat: JSON file of the functions that the model may call, or NULL
  const char *effort;       // chat: "low", "medium" or "high"
  const char *date;         // chat: YYYY-MM-DD, or NULL: today
  enum reasoning reasoning; // chat
  const char *chat_flag;    // the last flag given that only chat reads, or NULL
  bool special;             // prompts, generate: the text of a special token is that token
  float temperature;
  float top_p, min_p; // 0: no bound
  int top_k;          // 0: no bound
  uint64_t seed;      // 0: any
  bool resume;        // prompts: take up the journal of an earlier run
  int max_tokens;     // of prompt and output together; below 1: the context
  bool max_tokens_given;
  int slots; // 0: the engine's limit
  int chunk; // 0: the engine's limit
};

// Refuses, by name, an unknown flag, a value out of range, and a mode without a flag that it needs.
bool options_parse(struct options *options, int argc, char **argv, struct error *err);

extern const char OPTIONS_HELP[];

#endif
