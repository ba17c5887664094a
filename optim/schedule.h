/* schedule.h: how the learning rate moves over a run; a factor on its peak.
 *
 * Calls: nothing. Called by: train.
 */
#ifndef ICH_OPTIM_SCHEDULE_H
#define ICH_OPTIM_SCHEDULE_H

#include <stdint.h>

typedef enum ich_schedule { ICH_CONSTANT, ICH_COSINE, ICH_ONECYCLE } ich_schedule;

/* Factor (0 … 1] for `step` of `steps`, warming up over the first `warmup` fraction.
 *   constant  1 after a linear warm-up
 *   cosine    linear warm-up, then half a cosine to 0 (Loshchilov and Hutter 2017)
 *   onecycle  half a cosine from 1/25 up, then half a cosine down to 1/250000 (Smith and Topin 2018; torch's
 * OneCycleLR) */
double ich_schedule_factor(ich_schedule schedule, uint64_t step, uint64_t steps, double warmup);

#endif
