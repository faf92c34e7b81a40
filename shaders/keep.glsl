// Rows are padded with zeros, also when a NaN or an infinity was multiplied with that of an operand.

// A vec4 with zeros at and after `count`.
vec4 keep(vec4 value, uint count) {
    return mix(vec4(0.0), value, lessThan(uvec4(0u, 1u, 2u, 3u), uvec4(count)));
}
