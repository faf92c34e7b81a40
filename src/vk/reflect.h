/*
 * reflect: what a compute shader expects of the host, read from its SPIR-V, so that host and shader cannot disagree.
 *
 * A small parser of one pass over the module. A module may come from a file of the user's, so every read is bounded by
 * the words given; what is malformed or outside the few forms the kernels use is refused with a sentence.
 */
#ifndef RVK_VK_REFLECT_H
#define RVK_VK_REFLECT_H

#include "vk/vk.h"

enum binding_kind {
    BINDING_UNUSED, /* a number below binding_count that the module does not declare */
    BINDING_STORAGE,
    BINDING_STORAGE_TEXELS, /* imageBuffer */
    BINDING_UNIFORM_TEXELS, /* textureBuffer, samplerBuffer */
};

enum { REFLECTION_CAPABILITIES = 16 };

struct reflection {
    struct vk_interface interface;
    enum binding_kind kinds[VK_BINDINGS];
    bool uses_subgroups;                                              /* declares a capability of subgroup operations */
    uint32_t capabilities[REFLECTION_CAPABILITIES], capability_count; /* numbers of SPIR-V, as declared */
    char entry[64];                                                   /* name of the entry point */
};

/* Reads `count` words of SPIR-V as they are with specialization constants 0 .. constant_count - 1 set to `constants`.
 * STATUS_DATA when the module is malformed or not a compute shader of the forms above. */
CHECKED enum status reflect_module(const uint32_t *words, size_t count, const uint32_t *constants,
                                   uint32_t constant_count, struct reflection *out);

#endif
