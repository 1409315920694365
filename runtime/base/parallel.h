// One pragma for a loop whose iterations are independent, so that a build without OpenMP compiles
// without warnings and computes the same bits.
#ifndef GETP_BASE_PARALLEL_H
#define GETP_BASE_PARALLEL_H

#define PARALLEL_TEXT(text) _Pragma(#text)

// Stands before a for loop of about `work` multiplications; small ones are not worth the threads.
#ifdef _OPENMP
#define PARALLEL_FOR(work) PARALLEL_TEXT(omp parallel for schedule(static) if ((work) > 1 << 16))
// Stands before an assignment in such a loop to what all iterations share.
#define PARALLEL_WRITE PARALLEL_TEXT(omp atomic write)
#else
#define PARALLEL_FOR(work)
#define PARALLEL_WRITE
#endif

#endif
