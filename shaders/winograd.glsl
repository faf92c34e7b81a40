// Winograd's minimal filtering F(4x4, 3x3): a tile of 4x4 target pixels from 6x6 source pixels by 36 products instead of
// 144. target = A' ((G weight G') * (B' source B)) A, matrices of Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", 2016. Each function is one matrix times a column; a tile takes it once along its columns, once along its rows.

vec4[6] source_transform(vec4 d[6]) { // B'
    return vec4[6](4.0 * d[0] - 5.0 * d[2] + d[4], d[4] + d[3] - 4.0 * (d[2] + d[1]), d[4] - d[3] - 4.0 * (d[2] - d[1]),
                   d[4] - d[2] + 2.0 * (d[3] - d[1]), d[4] - d[2] - 2.0 * (d[3] - d[1]), 4.0 * d[1] - 5.0 * d[3] + d[5]);
}

vec4[6] weight_transform(vec4 g[3]) { // G
    vec4 even = g[0] + g[2], far = g[0] + 4.0 * g[2];
    return vec4[6](g[0] / 4.0, (even + g[1]) / -6.0, (even - g[1]) / -6.0, (far + 2.0 * g[1]) / 24.0,
                   (far - 2.0 * g[1]) / 24.0, g[2]);
}

vec4[4] target_transform(vec4 m[6]) { // A'
    vec4 near_sum = m[1] + m[2], near = m[1] - m[2], far_sum = m[3] + m[4], far = m[3] - m[4];
    return vec4[4](m[0] + near_sum + far_sum, near + 2.0 * far, near_sum + 4.0 * far_sum, near + 8.0 * far + m[5]);
}
