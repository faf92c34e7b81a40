// Quotients by a number that is the same for the whole dispatch; dispatch_push_divisor writes it. i < 2^31.
struct Divisor { uint value, multiplier, shift; };

uint divide(uint i, Divisor divisor) {
    uint high, low;
    umulExtended(i << 1, divisor.multiplier, high, low);
    return high >> divisor.shift;
}

uint remainder(uint i, Divisor divisor) {
    return i - divide(i, divisor) * divisor.value;
}
