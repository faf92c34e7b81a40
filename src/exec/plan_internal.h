/*
 * plan_internal: what plan.c (creation) and replay.c (running) share.
 */
#ifndef RVK_EXEC_PLAN_INTERNAL_H
#define RVK_EXEC_PLAN_INTERNAL_H

#include "exec/plan.h"

enum { PLAN_SLOTS = 8 };
#define PLAN_CANARY UINT32_C(0x7fc0dead) /* a NaN */

/* One dispatch, bound to memory. */
struct bound_dispatch {
    struct vk_kernel *kernel;
    struct vk_range ranges[DISPATCH_OPERANDS];
    uint32_t range_count;
    uint32_t push[DISPATCH_PUSH], push_count;
    uint32_t constants[DISPATCH_CONSTANTS], constant_count; /* for reports */
    uint32_t groups[3];
    uint32_t node;
    bool barrier; /* one must stand before it */
    char kernel_name[48];
    const char *form;
    uint32_t variant;
    double flops, bytes;
};

/* A command buffer with dispatches [first, last), and how long it took when last measured. */
struct piece {
    struct vk_commands *commands;
    uint32_t first, last;
    uint64_t ns;
};

/* A submission with dispatches [first, last), and when it was made: what a lost device was working on. */
struct flight {
    uint64_t ticket, ns;
    uint32_t first, last;
};
enum { PLAN_FLIGHTS = 64 };

struct plan {
    struct store *store;
    struct vk_device *device;
    const struct graph *graph;
    struct plan_options options;
    struct plan_numbers numbers;

    struct vk_range *locations; /* of each tensor */
    struct vk_buffer **arena;   /* allocations of at most arena_unit bytes */
    uint32_t arena_count;
    uint64_t arena_unit;
    struct block *blocks; /* lifetimes and offsets: one a tensor, then LOWERING_SCRATCH a node */
    struct bound_dispatch *dispatches;
    uint32_t dispatch_count;
    uint32_t *first_dispatch;                    /* of each node, and one past the end */
    uint32_t opening_dispatches, opening_pieces; /* the graph's opening: the first of all */
    uint64_t opening_version;                    /* of what it reads, when it ran last */
    bool *reads, *writes;                        /* of each tensor: persistent roots the opening, any node */

    struct vk_buffer *inputs, *outputs;     /* on the device; NULL when there are none */
    struct vk_buffer *upload, *download;    /* mapped: `slots` copies of them */
    uint64_t input_bytes, output_bytes;     /* of one copy */
    struct vk_commands *before[PLAN_SLOTS]; /* upload -> inputs */
    struct vk_commands *after[PLAN_SLOTS];  /* outputs -> download */
    struct piece *pieces;
    uint32_t piece_count;
    struct vk_commands **batch; /* the command buffers of one submission: room for all pieces */
    uint64_t submitted, collected;
    uint64_t tickets[PLAN_SLOTS];
    struct flight flights[PLAN_FLIGHTS]; /* the last submissions: number n is at n % PLAN_FLIGHTS */
    uint64_t flight_count;
    uint64_t *timestamps;
    struct plan_timing *timings;
};

/* Has the device no kernels, so that the references of the ops run (exec/reference.h)? Nothing is recorded then. */
static inline bool plan_is_reference(const struct plan *plan) {
    return vk_facts(plan->device)->kind == DEVICE_REFERENCE;
}

/* Records dispatches [first, last) with their barriers and timestamps. */
CHECKED enum status plan_record_dispatches(struct plan *plan, struct vk_commands *commands, uint32_t first,
                                           uint32_t last);

/* How long a dispatch takes on a slow device, by its work. */
double plan_guess_ns(const struct bound_dispatch *bound);

/* lost.c: adds to the sentence of STATUS_LOST what the device was working on. Returns `status`, whatever it is. */
enum status plan_name_lost(const struct plan *plan, enum status status);

#endif
