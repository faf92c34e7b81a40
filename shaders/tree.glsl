// Sum over the invocations of a workgroup whose numbers agree modulo `lanes` (a power of two), by a fixed tree in shared
// memory; all of them receive it. Include it after the workgroup size, which must be a power of two.
shared vec4 tree[gl_WorkGroupSize.x];

vec4 tree_sum(vec4 value, uint lanes) {
    uint local = gl_LocalInvocationIndex;
    tree[local] = value;
    for (uint rest = gl_WorkGroupSize.x / 2; rest >= lanes; rest >>= 1) {
        barrier();
        if (local < rest)
            tree[local] += tree[local + rest];
    }
    barrier();
    vec4 sum = tree[local & (lanes - 1)];
    barrier();
    return sum;
}
