// The same bits as src/base/random.c: a pure function of (seed, stream, index).

uint pcg(uint value) {
    uint state = value * 747796405u + 2891336453u;
    uint word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

uint random_bits(uint seed, uint stream, uint index) {
    return pcg(pcg(pcg(seed) ^ stream) ^ index);
}

float random_uniform(uint seed, uint stream, uint index) {
    return float(random_bits(seed, stream, index) >> 8u) * (1.0 / 16777216.0);
}

// Whole number in [0, count).
uint random_below(uint seed, uint stream, uint index, uint count) {
    uint high, low;
    umulExtended(random_bits(seed, stream, index), count, high, low);
    return high;
}
