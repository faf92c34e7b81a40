// 1 / sqrt(variance + epsilon). Devices may round inversesqrt by two units; Newton's step brings that under one.
vec4 reciprocal_deviation(vec4 variance, float epsilon) {
    vec4 v = variance + epsilon, r = inversesqrt(v);
    return r * (1.5 - 0.5 * (v * r) * r);
}
