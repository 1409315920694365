// A checksum of a file's content, which may be computed in pieces, in any order, by any threads.
#ifndef GETP_WEIGHTS_CHECKSUM_H
#define GETP_WEIGHTS_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

// The checksum of n bytes at `offset`, a multiple of 8, of a file; zeros fill up the last word of 8
// bytes. The checksum of a file is the sum of those of its pieces. Zeros add nothing to it, so that
// gaps between pieces need no call. A change within one word always changes it, and other damage
// almost always does.
uint64_t checksum(const void *bytes, size_t n, size_t offset);

// The same with all threads.
uint64_t checksum_parallel(const void *bytes, size_t n, size_t offset);

#endif
