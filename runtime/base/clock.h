// The clock that all times are measured by.
#ifndef GETP_BASE_CLOCK_H
#define GETP_BASE_CLOCK_H

// Seconds of a clock that only goes forward.
double seconds_now(void);

#endif
