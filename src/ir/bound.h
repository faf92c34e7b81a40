/*
 * bound: the error that a correct float32 kernel may make. u = 2^-24 is the unit roundoff.
 */
#ifndef RVK_IR_BOUND_H
#define RVK_IR_BOUND_H

#include <math.h>

#define UNIT_ROUNDOFF 0x1p-24

/*
 * A sum of `terms` products, in any order: 4 sqrt(K) u S + u |y|, with S the sum of the absolute values of the terms
 * (probabilistic bound of Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis", SISC 41(5), 2019,
 * with factor 4).
 */
static inline double bound_sum(double terms, double absolute, double y) {
    return 4 * sqrt(terms) * UNIT_ROUNDOFF * absolute + UNIT_ROUNDOFF * fabs(y);
}

/*
 * The bound of a value of which only one thing is known: it is not finite where the true value is not. A NaN or an
 * infinity among the operands may reach it, or the zeros that fill a kernel's rows and so make a NaN of it.
 */
#define BOUND_ANY (-INFINITY)

/* A device may treat denormal numbers as zero, operands and results alike: what that can change in `value`. */
static inline double bound_denormal(double value) {
    return fabs(value) < 0x1p-126 ? fabs(value) : 0;
}

#endif
