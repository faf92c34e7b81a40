#include "base/random.h"

#include <math.h>

static uint32_t pcg(uint32_t value) {
    uint32_t state = value * 747796405u + 2891336453u;
    uint32_t word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737u;
    return (word >> 22) ^ word;
}

uint32_t random_bits(uint32_t seed, uint32_t stream, uint32_t index) {
    return pcg(pcg(pcg(seed) ^ stream) ^ index);
}

double random_uniform(uint32_t seed, uint32_t stream, uint32_t index) {
    return (random_bits(seed, stream, index) >> 8) * 0x1p-24;
}

uint32_t random_below(uint32_t seed, uint32_t stream, uint32_t index, uint32_t count) {
    return (uint32_t)(((uint64_t)random_bits(seed, stream, index) * count) >> 32);
}

double random_normal(uint32_t seed, uint32_t stream, uint32_t index) {
    double u = 1.0 - random_uniform(seed, stream, 2 * index);
    double v = random_uniform(seed, stream, 2 * index + 1);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}
