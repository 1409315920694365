// Reads what the model writes, one id at a time, beginning inside the header that the prompt's
// last two pieces, <|start|> and `assistant`, have opened.
//
// A header is read in any order: ` to=RECIPIENT` before or after the channel; the channel is the
// word after <|channel|>; the content type is the word after <|constrain|>, or a word that follows
// the channel or the recipient. A second channel, recipient or content type and any other word is
// stray: it becomes a message of its own, which is malformed. Nothing that the model wrote is lost.
//
// Any ids in any order are accepted. Only memory can run out.
#ifndef GETP_HARMONY_REPLY_H
#define GETP_HARMONY_REPLY_H

#include "base/id_list.h"
#include "harmony/buffer.h"
#include "harmony/harmony.h"
#include "harmony/header.h"

// For whom the text of a message is.
enum reply_kind {
  REPLY_ANSWER,    // the user: channel `final`, no channel at all, and stray text
  REPLY_REASONING, // nobody: channel `analysis`, or one that the format does not have
  REPLY_PREAMBLE,  // the user, before a call: channel `commentary` without a recipient
  REPLY_CALL,      // a tool: any channel with a recipient; the text is the arguments
  REPLY_OTHER,     // nobody: the model wrote a message of another role, such as `user`
};

// How a reply ended.
enum reply_end {
  REPLY_CUT,      // inside a message or a header: there was no room for more, or it was stopped
  REPLY_RETURNED, // at <|return|>
  REPLY_CALLED,   // at <|call|>
  REPLY_ENDED,    // at <|end|>
  REPLY_STOPPED,  // at <|endoftext|> or another stop id of the model
};

struct reply_message {
  enum reply_kind kind;

  // NUL-terminated UTF-8 without white space, or NULL where the header has none.
  char *role; // of REPLY_OTHER; NULL: assistant
  char *channel, *recipient, *content_type;

  struct buffer text; // UTF-8: bytes that are not became U+FFFD
  struct id_list ids; // the content as generated; empty for stray text
  bool complete;      // its end came; false: cut off
  bool well_formed;   // false: the model did not keep to the format, or the text is stray
};

// Text that an id adds to a message. `bytes` is valid until the next call on the reply. n may be 0.
struct reply_piece {
  enum reply_kind kind;
  size_t message; // index of the message
  const char *bytes;
  size_t n;
};

// A reply is zeroed before its first reply_begin. The fields from in_content on are for reply.c.
struct reply {
  const struct harmony *harmony;
  struct reply_message *message; // (n) in the order of their text
  size_t n, capacity;
  enum reply_end end;        // after reply_finish
  struct buffer header_text; // after reply_finish: a header in which the reply was cut, or empty

  bool in_content; // of the last message; false: in a header
  struct header header;
  bool header_has_special; // beginning with its <|start|>
  char held[4];            // the first bytes of a character of which more must come
  size_t n_held;
  struct buffer decoded; // text of the last id in a header
  struct buffer fresh;   // the text of the piece
  size_t fresh_message;
};

// Begins a reply; frees what an earlier one left.
void reply_begin(struct reply *reply, const struct harmony *harmony);

// Reads the next id. *piece is the text that it completes: an id that only adds to a header, or
// ends inside a character, gives none. Fails only when memory runs out. Time and memory are
// proportional to the bytes of the id.
bool reply_read(struct reply *reply, int32_t id, struct reply_piece *piece, struct error *err);

// Ends the reply. `stopped`: the model ended it itself, with a stop id; this counts where none of
// the ids of harmony.h ended it. *piece is the text that was held back. Then all fields of the
// reply are final.
bool reply_finish(struct reply *reply, bool stopped, struct reply_piece *piece, struct error *err);

void reply_free(struct reply *reply);

// False for a message that a conversation cannot keep: that of another role, a call that was cut
// off, and any but a call without text that is malformed, such as a header without <|message|>.
bool reply_message_counts(const struct reply_message *message);

// True if a message of this kind counts. An answer that was cut off does.
bool reply_has(const struct reply *reply, enum reply_kind kind);

// True if every message is well formed.
bool reply_is_well_formed(const struct reply *reply);

#endif
