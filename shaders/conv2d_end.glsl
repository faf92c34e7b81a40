// The end of a convolution, for kernels that have FLAGS, target_channels, and the operands bias and residual.
#ifndef LOAD_RESIDUAL
#define LOAD_RESIDUAL(at) LOAD(residual, at)
#endif
const uint RELU = 1u, BIAS = 2u, RESIDUAL = 4u, MASK = 8u;

// What becomes of the sums of vec4 number `at` of the target, which has the channels from 4 * `quad` on.
vec4 finish(vec4 result, int at, int quad) {
    if ((FLAGS & BIAS) != 0u)
        result += LOAD(bias, quad);
    if ((FLAGS & RESIDUAL) != 0u)
        result += LOAD_RESIDUAL(at);
    precise vec4 positive = mix(result, vec4(0.0), lessThan(result, vec4(0.0))); // max() would lose a NaN
    result = (FLAGS & RELU) != 0u ? positive : result;
    if ((FLAGS & MASK) != 0u)
        result = mix(vec4(0.0), result, greaterThan(LOAD(bias, at), vec4(0.0)));
    // The padding stays zero also where a NaN met the weights' padding.
    return mix(vec4(0.0), result, lessThan(4 * quad + ivec4(0, 1, 2, 3), ivec4(target_channels)));
}
