/*
 * chart: the axes of a drawn chart, in round numbers.
 */
#ifndef RVK_BASE_CHART_H
#define RVK_BASE_CHART_H

struct axis {
    double low, high, tick;
};

/* 1, 2 or 5 times a power of ten, so that `range` (> 0) holds at most `most` of them. */
double chart_tick(double range, double most);

/* From a whole tick to a whole tick around [low, high], with at most `most` ticks or one or two more at the ends. A
 * range too small to be drawn is widened. */
struct axis chart_axis(double low, double high, double most);

/* Decimals that tell the ticks apart: 2 for a tick of 0.05, 0 from 1 on. */
int chart_decimals(const struct axis *axis);

#endif
