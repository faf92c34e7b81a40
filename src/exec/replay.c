/*
 * replay: runs a plan's recorded command buffers, step after step, and reads and writes its tensors.
 */
#include "exec/plan_internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "exec/reference.h"
#include "exec/schedule.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Steps whose pieces are submitted and timed one by one. The first includes the driver's compilation. */
enum { MEASURED_STEPS = 2 };

static uint32_t next_slot(const struct plan *plan) {
    return (uint32_t)(plan->submitted % plan->options.slots);
}

uint32_t plan_pending(const struct plan *plan) {
    return (uint32_t)(plan->submitted - plan->collected);
}

uint32_t plan_slots(const struct plan *plan) {
    return plan->options.slots;
}

bool plan_idle(const struct plan *plan) {
    uint64_t last = (plan->submitted + plan->options.slots - 1) % plan->options.slots;
    return plan_pending(plan) == 0 || plan_is_reference(plan) || vk_finished(plan->device, plan->tickets[last]);
}

void *plan_input(struct plan *plan, tensor_id tensor) {
    assert(plan_pending(plan) < plan->options.slots && plan->locations[tensor].buffer == plan->inputs);
    return (char *)vk_buffer_map(plan->upload) + next_slot(plan) * plan->input_bytes + plan->locations[tensor].offset;
}

const void *plan_output(const struct plan *plan, tensor_id tensor) {
    assert(plan->collected > 0 && plan->locations[tensor].buffer == plan->outputs);
    uint64_t slot = (plan->collected - 1) % plan->options.slots;
    return (const char *)vk_buffer_map(plan->download) + slot * plan->output_bytes + plan->locations[tensor].offset;
}

/* Grows with every change of the values that the opening reads. */
static uint64_t version_read(const struct plan *plan) {
    uint64_t version = 0;
    for (size_t t = 0; t < plan->graph->tensor_count; t++)
        if (plan->reads[t])
            version += store_version(plan->store, plan->graph->tensors[t].name);
    return version;
}

static void note_writes(struct plan *plan) {
    for (size_t t = 0; t < plan->graph->tensor_count; t++)
        if (plan->writes[t])
            store_changed(plan->store, plan->graph->tensors[t].name);
}

/* Submits command buffers that hold dispatches [first, last). */
static enum status submit(struct plan *plan, uint32_t slot, struct vk_commands *const *commands, uint32_t count,
                          uint32_t first, uint32_t last) {
    struct flight *flight = &plan->flights[plan->flight_count % PLAN_FLIGHTS];
    *flight = (struct flight){.ns = clock_ns(), .first = first, .last = last};
    TRY(vk_submit(plan->device, commands, count, &flight->ticket));
    plan->tickets[slot] = flight->ticket;
    plan->flight_count++;
    return STATUS_OK;
}

/* Submits every piece for itself and keeps the shortest time seen. */
static enum status submit_measured(struct plan *plan, uint32_t slot, uint32_t first) {
    TRY(submit(plan, slot, &plan->before[slot], 1, 0, 0));
    TRY(vk_wait(plan->device, plan->tickets[slot]));
    for (uint32_t p = first; p < plan->piece_count; p++) {
        struct piece *piece = &plan->pieces[p];
        uint64_t start = clock_ns();
        TRY(submit(plan, slot, &piece->commands, 1, piece->first, piece->last));
        TRY(vk_wait(plan->device, plan->tickets[slot]));
        uint64_t ns = clock_ns() - start;
        piece->ns = piece->ns ? MIN(piece->ns, ns) : ns;
    }
    return submit(plan, slot, &plan->after[slot], 1, 0, 0);
}

/* Joins pieces into submissions that stay within the time budget by the measured times, and within the number of
 * command buffers that one may have (`after` is one more). */
static enum status submit_joined(struct plan *plan, uint32_t slot, uint32_t first) {
    uint32_t count = 0, submissions = 0, begin = plan->pieces[first].first;
    uint64_t ns = 0;
    plan->batch[count++] = plan->before[slot];
    for (uint32_t p = first; p < plan->piece_count; p++) {
        bool over = ns > 0 && ns + plan->pieces[p].ns > plan->options.budget_ns;
        if (over || count + 1 == VK_SUBMISSION_COMMANDS) {
            TRY(submit(plan, slot, plan->batch, count, begin, plan->pieces[p].first));
            begin = plan->pieces[p].first;
            count = 0;
            ns = 0;
            submissions++;
        }
        plan->batch[count++] = plan->pieces[p].commands;
        ns += plan->pieces[p].ns;
    }
    plan->batch[count++] = plan->after[slot];
    plan->numbers.submissions_per_step = submissions + 1;
    return submit(plan, slot, plan->batch, count, begin, plan->dispatch_count);
}

/* ---- without kernels ---- */

static enum status copy_inputs(struct plan *plan, uint32_t slot) {
    if (!plan->inputs)
        return STATUS_OK;
    return vk_write(plan->inputs, 0, (char *)vk_buffer_map(plan->upload) + slot * plan->input_bytes, plan->input_bytes);
}

static enum status copy_outputs(struct plan *plan, uint32_t slot) {
    if (!plan->outputs)
        return STATUS_OK;
    return vk_read(plan->outputs, 0, (char *)vk_buffer_map(plan->download) + slot * plan->output_bytes,
                   plan->output_bytes);
}

/* The whole step, at once. */
static enum status run_reference(struct plan *plan, uint32_t slot, size_t first) {
    TRY(copy_inputs(plan, slot));
    TRY(reference_run(plan, first, plan->graph->node_count));
    return copy_outputs(plan, slot);
}

/* ---- a step ---- */

enum status plan_submit(struct plan *plan) {
    if (plan_pending(plan) >= plan->options.slots)
        return fail(STATUS_USAGE, "%u steps are pending, collect one first", plan_pending(plan));
    uint64_t version = version_read(plan);
    bool opened = version == plan->opening_version;
    uint32_t slot = next_slot(plan), first = opened ? plan->opening_pieces : 0;
    if (plan_is_reference(plan))
        TRY(run_reference(plan, slot, opened ? plan->graph->opening : 0));
    else if (plan->submitted < MEASURED_STEPS)
        TRY(plan_name_lost(plan, submit_measured(plan, slot, first)));
    else
        TRY(plan_name_lost(plan, submit_joined(plan, slot, first)));
    plan->opening_version = version;
    note_writes(plan);
    plan->submitted++;
    return STATUS_OK;
}

enum status plan_collect(struct plan *plan) {
    if (plan_pending(plan) == 0)
        return fail(STATUS_USAGE, "no step is pending");
    TRY(plan_name_lost(plan, vk_wait(plan->device, plan->tickets[plan->collected % plan->options.slots])));
    plan->collected++;
    return STATUS_OK;
}

/* ---- one node at a time ---- */

static enum status run_now(struct plan *plan, struct vk_commands *commands) {
    uint64_t ticket;
    TRY(vk_submit(plan->device, &commands, 1, &ticket));
    return vk_wait(plan->device, ticket);
}

enum status plan_upload(struct plan *plan) {
    if (plan_is_reference(plan))
        return copy_inputs(plan, next_slot(plan));
    return run_now(plan, plan->before[next_slot(plan)]);
}

static enum status record_nodes(struct plan *plan, struct vk_commands *commands, size_t first, size_t last) {
    TRY(vk_begin(commands));
    vk_record_barrier(commands);
    TRY(plan_record_dispatches(plan, commands, plan->first_dispatch[first], plan->first_dispatch[last]));
    vk_record_barrier(commands);
    return vk_end(commands);
}

enum status plan_run_nodes(struct plan *plan, size_t first, size_t last) {
    struct vk_commands *commands;
    note_writes(plan);
    if (plan_is_reference(plan))
        return reference_run(plan, first, last);
    TRY(vk_commands_create(plan->device, &commands));
    enum status status = record_nodes(plan, commands, first, last);
    if (status == STATUS_OK)
        status = run_now(plan, commands);
    vk_commands_destroy(commands);
    return status;
}

enum status plan_read(struct plan *plan, tensor_id tensor, void *stored) {
    const struct vk_range *range = &plan->locations[tensor];
    return vk_read(range->buffer, range->offset, stored, range->bytes);
}

enum status plan_write(struct plan *plan, tensor_id tensor, const void *stored) {
    const struct vk_range *range = &plan->locations[tensor];
    const struct tensor *root = &plan->graph->tensors[graph_root(plan->graph, tensor, NULL)];
    if (root->role == TENSOR_PERSISTENT)
        store_changed(plan->store, root->name);
    else
        plan->opening_version = 0;
    return vk_write(range->buffer, range->offset, stored, range->bytes);
}

enum status plan_guard_fill(struct plan *plan) {
    assert(plan->options.guarded && plan->arena_count == 1);
    plan->opening_version = 0;
    return vk_fill(plan->arena[0], 0, vk_buffer_bytes(plan->arena[0]), PLAN_CANARY);
}

static enum status check_gap(const uint32_t *words, uint64_t begin, uint64_t end, const char *before,
                             const char *after) {
    for (uint64_t i = begin / 4; i < end / 4; i++)
        if (words[i] != PLAN_CANARY)
            return fail(STATUS_MISMATCH,
                        "a kernel wrote outside its tensors: byte %llu behind the end of %s, before %s",
                        (unsigned long long)(i * 4 - begin), before, after);
    return STATUS_OK;
}

static enum status check_gaps(const struct plan *plan, const uint32_t *words) {
    const struct graph *graph = plan->graph;
    size_t count = graph->tensor_count + graph->node_count * LOWERING_SCRATCH;
    uint64_t end = 0;
    const char *before = "the arena's start";
    for (size_t b = 0; b < count; b++) { /* guarded blocks stand in this order */
        const struct block *block = &plan->blocks[b];
        if (!block->bytes)
            continue;
        const char *name = b < graph->tensor_count ? graph->tensors[b].name : "scratch";
        TRY(check_gap(words, end, block->offset, before, name));
        end = block->offset + block->bytes;
        before = name;
    }
    return check_gap(words, end, plan->numbers.arena_bytes, before, "the arena's end");
}

enum status plan_guard_check(struct plan *plan) {
    uint32_t *words;
    TRY(memory_zeroed((size_t)plan->numbers.arena_bytes, 1, &words));
    enum status status = vk_read(plan->arena[0], 0, words, plan->numbers.arena_bytes);
    if (status == STATUS_OK)
        status = check_gaps(plan, words);
    free(words);
    return status;
}

/* ---- timing ---- */

enum status plan_timings(struct plan *plan, const struct plan_timing **timings, uint32_t *count) {
    if (!plan->options.timestamps)
        return fail(STATUS_USAGE, "the plan was made without timestamps");
    uint32_t opening = plan->opening_dispatches;
    *count = plan->dispatch_count - opening;
    TRY(vk_timestamps_read(plan->device, *count + 1, plan->timestamps));
    for (uint32_t d = 0; d < *count; d++) {
        const struct bound_dispatch *bound = &plan->dispatches[opening + d];
        const struct node *node = &plan->graph->nodes[bound->node];
        plan->timings[d] = (struct plan_timing){
            .op = node->op->name,
            .scope = node->scope,
            .kernel = bound->kernel_name,
            .form = bound->form,
            .start_ns = plan->timestamps[d] - plan->timestamps[0],
            .end_ns = plan->timestamps[d + 1] - plan->timestamps[0],
            .flops = bound->flops,
            .bytes = bound->bytes,
        };
    }
    *timings = plan->timings;
    return STATUS_OK;
}
