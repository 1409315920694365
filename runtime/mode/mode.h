// The modes of getp. Each returns the exit status of the process, or -1 with a message.
#ifndef GETP_MODE_MODE_H
#define GETP_MODE_MODE_H

#include "session.h"

// -m getp: reads a file of prompts and writes a file of ids; prints the throughput.
int mode_prompts(struct session *session, struct error *err);

// -m generate: prints a text and its continuation.
int mode_generate(struct session *session, struct error *err);

// -m chat: holds a conversation in the harmony format on stdin and stdout.
int mode_chat(struct session *session, struct error *err);

// -m logits: reads a file of ids and writes a file of logits, little-endian float32 (positions of
// all sequences, vocab).
int mode_logits(struct session *session, struct error *err);

// pack: writes a packed file from a checkpoint.
int mode_pack(struct session *session, struct error *err);

// decode: reads a file of ids and prints their text.
int mode_decode(const struct options *options, struct error *err);

// info: prints what a checkpoint of any model is, and whether this getp runs it; needs no device.
int mode_info(const struct options *options, struct error *err);

// --verify without another mode: compares a packed file of any tree with its checksum.
int mode_verify(const struct options *options, struct error *err);

// --plan: prints the memory that the tree needs and how much is free; needs no device.
int mode_plan(void);

#endif
