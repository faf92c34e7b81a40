// Sums over the pixels of [n, h, w, c] for every channel, stage one: one chunk of pixels a workgroup, cut as
// src/ir/channel_reduce.c says. Group (x, y) takes chunk x of the quads [y * lanes, (y + 1) * lanes); each invocation
// sums a strided set of pixels of one quad in registers, then a tree sums the invocations of a quad. Partial results
// lie as [chunk][number][quad]; stage two (channel_merge.glsl) sums the chunks. The order is a function of the shape.
#extension GL_EXT_control_flow_attributes : require
#include "tensor.glsl"

layout(local_size_x = 128, local_size_x_id = 0) in;
layout(push_constant) uniform Push { uint quads, pixels, chunk, lanes; };

#include "tree.glsl"

const uint UNROLL = 8;

struct Slice {
    uint quad;   // of channels, past the end in idle invocations
    uint column; // the same, within the tensor
    uint pixel;  // this invocation's number among those of its quad: the first pixel it takes, from `first`
    uint stride; // the next one is `stride` pixels on
    uint first, end;
    bool writes; // the one that writes the quad's partial results
};

Slice slice() {
    Slice s;
    s.quad = gl_WorkGroupID.y * lanes + (gl_LocalInvocationIndex & (lanes - 1));
    s.column = min(s.quad, quads - 1);
    s.stride = gl_WorkGroupSize.x / lanes;
    s.pixel = gl_LocalInvocationIndex / lanes;
    s.first = gl_WorkGroupID.x * chunk;
    s.end = min(s.first + chunk, pixels);
    s.writes = s.pixel == 0 && s.quad < quads;
    return s;
}

// Defined by the kernel: what vec4 number i of the tensor adds to the two sums.
void terms(uint i, out vec4 a, out vec4 b);

// The sums over this invocation's pixels. Batches are summed on their own first: shorter chains, smaller errors.
void sum_pixels(Slice s, out vec4 a, out vec4 b) {
    uint pixel = s.first + s.pixel, i = pixel * quads + s.column, next = s.stride * quads;
    a = b = vec4(0);
    for (; pixel + (UNROLL - 1) * s.stride < s.end; pixel += UNROLL * s.stride) {
        vec4 batch_a = vec4(0), batch_b = vec4(0);
        [[unroll]] for (uint k = 0; k < UNROLL; k++) {
            vec4 term_a, term_b;
            terms(i, term_a, term_b);
            batch_a += term_a;
            batch_b += term_b;
            i += next;
        }
        a += batch_a;
        b += batch_b;
    }
    for (; pixel < s.end; pixel += s.stride) {
        vec4 term_a, term_b;
        terms(i, term_a, term_b);
        a += term_a;
        b += term_b;
        i += next;
    }
}
