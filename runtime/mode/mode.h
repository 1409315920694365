// The seven things that getp does. Each returns the exit status of the process, or -1 with a
// message.
#ifndef GETP_MODE_MODE_H
#define GETP_MODE_MODE_H

#include "session.h"

// A file of prompts to a file of ids; throughput on stdout.
int mode_getp(struct session *session, struct error *err);

// Goes on with a text; prompt and continuation on stdout.
int mode_generate(struct session *session, struct error *err);

// A conversation in the harmony format, from stdin to stdout.
int mode_chat(struct session *session, struct error *err);

// A file of ids to a file of logits: float32 little-endian [positions of all sequences,
// vocab_size].
int mode_logits(struct session *session, struct error *err);

// A checkpoint to a packed file.
int mode_pack(struct session *session, struct error *err);

// A file of ids to text on stdout.
int mode_decode(const struct options *options, struct error *err);

// What the tree takes of memory, and what is free, on stdout; needs no device.
int mode_plan(void);

#endif
