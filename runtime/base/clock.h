// The clock for all measured times.
#ifndef GETP_BASE_CLOCK_H
#define GETP_BASE_CLOCK_H

// Seconds since some fixed moment, on a clock that nobody can set back.
double seconds_now(void);

#endif
