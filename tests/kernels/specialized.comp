#version 450
// Every size comes from specialization constants; binding 2 is not used; two blocks alias binding 3.
layout(local_size_x_id = 0, local_size_y_id = 1) in;
layout(constant_id = 2) const uint ROWS = 4;
layout(constant_id = 3) const bool TWICE = false;
layout(set = 0, binding = 0) readonly buffer A { vec4 a[]; };
layout(set = 0, binding = 1) buffer B { float b[]; };
layout(set = 0, binding = 3) writeonly buffer C { float c[]; };
layout(set = 0, binding = 3) writeonly buffer D { uint d[]; };
layout(push_constant) uniform Push { vec2 first; float list[3]; uint last; };
shared vec4 tile[(ROWS + 1) * gl_WorkGroupSize.x];
shared float single;
shared vec3 triples[5];

void main() {
    uint i = gl_LocalInvocationIndex;
    tile[i] = a[i] * first.x;
    if (i == 0)
        single = list[2];
    if (i < 5)
        triples[i] = vec3(list[2]);
    barrier();
    b[i] += tile[i].x * (TWICE ? 2.0 : 1.0);
    c[2 * i] = i < 5 ? triples[i].z : single;
    d[2 * i + 1] = last;
}
