#include "ir/facts.h"

#include <stdio.h>

void facts_minimum(struct device_facts *facts) {
    *facts = (struct device_facts){
        .kind = DEVICE_OTHER,
        .max_storage_range = UINT64_C(1) << 27,
        .max_allocation = UINT64_C(1) << 30,
        .heap_bytes = UINT64_C(1) << 32, /* the specification knows no such limit */
        .max_shared_bytes = 16384,
        .max_invocations = 128,
        .max_group_size = {128, 128, 64},
        .max_groups = {65535, 65535, 65535},
        .max_push_bytes = 128,
        .max_storage_buffers = 4,
        .max_texel_elements = 65536,
        .max_storage_texels = 4,
        .max_loop_steps = 65535, /* lavapipe's: the specification knows no such limit */
        .subgroup_size = 1,
    };
    snprintf(facts->name, sizeof facts->name, "specification minimum");
    snprintf(facts->driver, sizeof facts->driver, "none");
}
