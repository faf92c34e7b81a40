#include "exec/peak.h"

#include "base/clock.h"
#include "base/memory.h"
#include "ir/dispatch.h"

#include <stdio.h>

enum { GROUP_SIZE = 64 }; /* of shaders/peak_flops.comp and shaders/copy.comp */
enum { RUNS = 20, LEAST_RUNS = 3, INVOCATIONS = 1 << 18, MOST_ROUNDS = 1 << 14 };

/* A run of the arithmetic should take so long: longer than the submission by far, short enough for any watchdog. */
#define RUN_NS 2e7

/* Runs of one kernel should not take longer together. */
#define SLOW_NS 5e8

/* Larger than the caches, where memory allows. */
#define COPY_BYTES (UINT64_C(256) << 20)

struct job {
    struct vk_device *device;
    struct vk_buffer *from, *to;
    uint64_t bytes; /* of each buffer */
};

static enum status record(struct vk_commands *commands, const struct dispatch *dispatch, struct vk_kernel *kernel,
                          const struct vk_range *ranges) {
    TRY(vk_begin(commands));
    vk_record_barrier(commands);
    TRY(vk_record_dispatch(commands, kernel, ranges, dispatch->operand_count, dispatch->push, dispatch->push_count,
                           dispatch->groups));
    return vk_end(commands);
}

/* The shortest of `runs` runs, or of fewer when they are slow. */
static enum status time_commands(struct vk_device *device, struct vk_commands *commands, int runs, double *ns) {
    double sum = 0;
    for (int i = 0; i < runs && (i < LEAST_RUNS || sum < SLOW_NS); i++) {
        uint64_t ticket, start = clock_ns();
        TRY(vk_submit(device, &commands, 1, &ticket));
        TRY(vk_wait(device, ticket));
        double taken = (double)(clock_ns() - start);
        *ns = i == 0 ? taken : MIN(*ns, taken);
        sum += taken;
    }
    return STATUS_OK;
}

/* Operands of the dispatch: inputs are job->from, outputs are job->to. */
static enum status time_dispatch(const struct job *job, const struct dispatch *dispatch, const char *name, int runs,
                                 double *ns) {
    struct vk_range ranges[DISPATCH_OPERANDS];
    struct vk_kernel *kernel;
    struct vk_commands *commands;
    for (uint32_t i = 0; i < dispatch->operand_count; i++)
        ranges[i] = (struct vk_range){dispatch->operands[i].kind == OPERAND_INPUT ? job->from : job->to, 0, job->bytes};
    TRY(vk_kernel_get(job->device, name, dispatch->constants, dispatch->constant_count, 0, &kernel));
    TRY(vk_commands_create(job->device, &commands));
    enum status status = record(commands, dispatch, kernel, ranges);
    if (status == STATUS_OK)
        status = time_commands(job->device, commands, runs, ns);
    vk_commands_destroy(commands);
    return status;
}

/* The first run of a size is not timed for itself: it may compile, and it wakes the device up. */
static enum status measure_flops(const struct job *job, double *flops) {
    uint32_t rounds = 1;
    double ns;
    for (;; rounds = MIN(2 * rounds, (uint32_t)MOST_ROUNDS)) {
        struct dispatch dispatch = {.kernel = "peak_flops", .groups = {1, 1, 1}};
        dispatch_output(&dispatch, 0);
        dispatch_push(&dispatch, rounds);
        dispatch_push_float(&dispatch, 0.5);
        dispatch_push_float(&dispatch, 0.5);
        dispatch_linear(&dispatch, INVOCATIONS, GROUP_SIZE);
        TRY(time_dispatch(job, &dispatch, dispatch.kernel, LEAST_RUNS, &ns));
        if (ns < RUN_NS && rounds < MOST_ROUNDS)
            continue;
        TRY(time_dispatch(job, &dispatch, dispatch.kernel, RUNS, &ns));
        *flops = 1e9 * 2.0 * PEAK_CHAINS * PEAK_STEPS * INVOCATIONS * rounds / ns;
        return STATUS_OK;
    }
}

/* The better of the two ways to read, see shaders/tensor.glsl. */
static enum status measure_bytes(const struct job *job, const struct dispatch *dispatch, double *rate) {
    const struct device_facts *facts = vk_facts(job->device);
    char texels[48];
    double ns;
    snprintf(texels, sizeof texels, "%s.texels", dispatch->kernel);
    TRY(time_dispatch(job, dispatch, dispatch->kernel, RUNS, &ns));
    *rate = 1e9 * dispatch->bytes / ns;
    if (job->bytes / 16 > facts->max_texel_elements || facts->max_storage_texels == 0)
        return STATUS_OK;
    TRY(time_dispatch(job, dispatch, texels, RUNS, &ns));
    *rate = MAX(*rate, 1e9 * dispatch->bytes / ns);
    return STATUS_OK;
}

static enum status measure_copy(const struct job *job, double *rate) {
    struct dispatch copy = {.kernel = "copy", .groups = {1, 1, 1}, .bytes = 2.0 * (double)job->bytes};
    dispatch_input(&copy, 0);
    dispatch_output(&copy, 0);
    dispatch_push(&copy, (uint32_t)(job->bytes / 16));
    dispatch_linear(&copy, job->bytes / 16, GROUP_SIZE);
    return measure_bytes(job, &copy, rate);
}

/* A CPU reads fastest with one vector a workgroup and long runs, a GPU with many threads. */
static enum status measure_read(const struct job *job, double *rate) {
    bool cpu = vk_facts(job->device)->kind == DEVICE_CPU;
    uint32_t group_size = cpu ? 8 : 128, rows = cpu ? 512 : 64;
    uint64_t invocations = job->bytes / 16 / rows;
    struct dispatch read = {
        .kernel = "peak_read", .groups = {1, 1, 1}, .bytes = (double)job->bytes + 16.0 * (double)invocations};
    dispatch_input(&read, 0);
    dispatch_output(&read, 0);
    dispatch_push(&read, rows);
    dispatch_constant(&read, group_size);
    dispatch_linear(&read, invocations, group_size);
    return measure_bytes(job, &read, rate);
}

static enum status measure(const struct job *job, struct peak *out) {
    TRY(measure_flops(job, &out->flops));
    TRY(measure_copy(job, &out->copy_bytes));
    TRY(measure_read(job, &out->read_bytes));
    out->best_bytes = MAX(out->copy_bytes, out->read_bytes);
    return STATUS_OK;
}

/* A power of two, so that whole workgroups read it; at least what the arithmetic writes. */
static uint64_t choose_bytes(const struct vk_device *device) {
    const struct device_facts *facts = vk_facts(device);
    uint64_t most = MIN(facts->max_storage_range, facts->max_allocation), bytes = COPY_BYTES;
    most = MIN(most, facts->heap_bytes / 4);
    while (bytes > most && bytes > 16 * (uint64_t)INVOCATIONS)
        bytes /= 2;
    return bytes;
}

enum status peak_measure(struct vk_device *device, struct peak *out) {
    struct job job = {.device = device, .bytes = choose_bytes(device)};
    *out = (struct peak){0};
    enum status status = vk_buffer_create(device, VK_MEMORY_DEVICE, job.bytes, &job.from);
    if (status == STATUS_OK)
        status = vk_buffer_create(device, VK_MEMORY_DEVICE, job.bytes, &job.to);
    if (status == STATUS_OK)
        status = vk_fill(job.from, 0, job.bytes, 0);
    if (status == STATUS_OK)
        status = measure(&job, out);
    vk_buffer_destroy(job.to);
    vk_buffer_destroy(job.from);
    return status;
}
