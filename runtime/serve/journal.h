// The journal of a job of prompts: the lines that are finished, in the order in which they
// finished. It is a text:
//
//   getp journal 1: NAME=VALUE; NAME=VALUE; ...    what decides the results, in one line
//   NUMBER: ids                                    prompt NUMBER, counted from 1, is finished
//   NUMBER failed: ids                             the same, but the job's exit status will be 1
//
// A line without a LF at its end is not finished: a kill cut it off. A `!` in place of the first
// colon says that the disk was full. The process that writes a journal holds a lock on it.
#ifndef GETP_SERVE_JOURNAL_H
#define GETP_SERVE_JOURNAL_H

#include "base/error.h"

#include <stdint.h>
#include <stdio.h>

// A job of prompts.
struct journal_job {
  int prompts;
  const char *identity; // "NAME=VALUE; ..." of all that decides the results, except for the seed
  bool draws;           // the seed decides them, too
  bool any_seed;        // a journal that is taken up may have any seed
  uint64_t seed;
  bool resume; // take up the journal of an earlier run
};

struct journal_line {
  int64_t first; // where its ids are; 0: the prompt is not finished
  int32_t bytes;
  bool failed;
};

struct journal {
  char *path;                 // NULL: it has no name
  int file;                   // or -1
  bool locked;                // false: the file system has no locks
  bool is_ours;               // to write, and to remove
  struct journal_line *lines; // (prompts)
  int prompts, done, failed;
  int64_t end;  // of the last finished line
  char *buffer; // (capacity) of one line
  size_t capacity;
};

// Opens the journal at `path`, which the journal owns from now on, and locks it. `output` names the
// file of the job in messages. A journal with finished lines is taken up if job->resume, or if it
// ended because the disk was full: then it must have the job's identity, and its seed unless
// job->any_seed. job->seed becomes that of the journal. Otherwise it is refused, and stays as it
// is.
bool journal_open(struct journal *journal, char *path, const char *output, struct journal_job *job,
                  struct error *err);

// Opens a journal that has no name, of which nobody can take up anything.
bool journal_open_unnamed(struct journal *journal, int prompts, struct error *err);

// True if prompt `number` is finished.
bool journal_has(const struct journal *journal, int number);

// Appends the line of prompt `number`. When a write fails, no part of the line stays.
bool journal_add(struct journal *journal, int number, const int32_t *ids, int n, bool failed,
                 struct error *err);

// Writes the ids of prompt `number`, which is finished, and a LF.
bool journal_copy(struct journal *journal, int number, FILE *to, struct error *err);

// Closes the journal. It is removed if `remove`, or if nothing in it is finished. A zeroed journal
// with file -1 can be closed.
void journal_close(struct journal *journal, bool remove);

#endif
