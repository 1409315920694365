// A file of messages on standard input of chat.
#include "fuzz.h"

#include "mode/messages.h"

#include <fcntl.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  struct messages messages = {0};
  struct text message;
  struct error err;
  size_t read_bytes = 0;
  const int file = open(fuzz_file("messages.txt", data, bytes, 0), O_RDONLY);
  must(file >= 0 && dup2(file, STDIN_FILENO) == STDIN_FILENO, "a standard input");
  close(file);
  messages_open(&messages);
  while (messages_next(&messages, "", &message, &err) && message.bytes)
    read_bytes += message.n;
  messages_close(&messages);
  must(read_bytes <= bytes, "no more than the input");
  return 0;
}
