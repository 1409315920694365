// Prints a reply as it comes: what is for the user on stdout, reasoning and calls on stderr. Each
// message ends with a newline. On a terminal, reasoning is dim.
#ifndef GETP_MODE_TRANSCRIPT_H
#define GETP_MODE_TRANSCRIPT_H

#include "harmony/reply.h"
#include "options.h"
#include "terminal.h"

struct transcript {
  enum reasoning reasoning;
  struct terminal out, err;
  struct terminal *on; // where the message that is being printed goes; NULL: none has begun
  size_t message;      // its index
  bool has_output;     // this turn has printed on stdout
};

void transcript_open(struct transcript *transcript, enum reasoning reasoning);

// Prints the next piece of a reply.
void transcript_add(struct transcript *transcript, const struct reply_piece *piece);

// Ends a reply. If it ends the turn, too, and nothing came on stdout, stdout gets an empty line:
// every turn has an output.
void transcript_end(struct transcript *transcript, bool ends_turn);

// Prints the line "call RECIPIENT ARGUMENTS" on stderr. ARGUMENTS are JSON on one line: what the
// model wrote, or if that is not JSON, a string of it.
void transcript_call(struct transcript *transcript, const struct reply_message *call);

#endif
