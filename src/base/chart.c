#include "base/chart.h"

#include <math.h>

double chart_tick(double range, double most) {
    double power = pow(10, floor(log10(range / most)));
    for (int i = 0; i < 3; i++) {
        static const double factors[] = {1, 2, 5};
        if (factors[i] * power * most >= range * (1 - 1e-9))
            return factors[i] * power;
    }
    return 10 * power;
}

struct axis chart_axis(double low, double high, double most) {
    if (high - low < 1e-6)
        low -= 0.5, high += 0.5;
    double tick = chart_tick(high - low, most);
    return (struct axis){floor(low / tick + 1e-9) * tick, ceil(high / tick - 1e-9) * tick, tick};
}

int chart_decimals(const struct axis *axis) {
    return axis->tick < 1 ? (int)ceil(-log10(axis->tick) - 1e-9) : 0;
}
