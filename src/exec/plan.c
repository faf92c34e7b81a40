/*
 * plan: from graph to recorded command buffers. Running them is in replay.c.
 */
#include "exec/plan_internal.h"

#include "base/memory.h"
#include "exec/choose.h"
#include "exec/hazards.h"
#include "exec/schedule.h"
#include "exec/selftest.h"

#include <stdlib.h>
#include <string.h>

/* A first guess of a slow device, so that even there the first submissions stay short: flop and bytes a nanosecond. */
#define GUESS_FLOPS_PER_NS 20.0
#define GUESS_BYTES_PER_NS 4.0
#define PIECE_SHARE 0.2 /* of the budget of a submission, for one command buffer */

/* ---- lowering ---- */

static enum status name_node(const struct plan *plan, size_t index, enum status status) {
    const struct node *node = &plan->graph->nodes[index];
    return status == STATUS_OK ? status
                               : fail_prefix(status, "%s%s%s", node->scope, *node->scope ? " " : "", node->op->name);
}

static enum status lower_node(const struct plan *plan, size_t index, struct lowering *lowering, const char **form) {
    if (plan_is_reference(plan))
        return STATUS_OK;
    struct call call;
    graph_call(plan->graph, index, &call);
    const struct form *found = choose_form(&call, vk_facts(plan->device), &plan->options, lowering);
    if (!found)
        return name_node(plan, index, op_refuse(&call, vk_facts(plan->device)));
    *form = found->name;
    return STATUS_OK;
}

static void count_node(struct plan *plan, size_t index, const struct lowering *lowering) {
    struct call call;
    graph_call(plan->graph, index, &call);
    if (call.op->multiply_adds)
        plan->numbers.flops += 2 * call.op->multiply_adds(&call);
    for (uint32_t d = 0; d < lowering->count && index >= plan->graph->opening; d++)
        plan->numbers.bytes += lowering->dispatches[d].bytes;
    plan->dispatch_count += lowering->count;
    plan->first_dispatch[index + 1] = plan->dispatch_count;
    for (int s = 0; s < LOWERING_SCRATCH; s++)
        plan->blocks[plan->graph->tensor_count + index * LOWERING_SCRATCH + (size_t)s] =
            (struct block){.bytes = lowering->scratch_bytes[s], .first = (uint32_t)index, .last = (uint32_t)index};
}

/* ---- memory ---- */

/* Guarded: every block for itself, with at least TENSOR_ALIGNMENT bytes of canaries around. */
static uint64_t spread(struct block *blocks, size_t count) {
    uint64_t end = TENSOR_ALIGNMENT;
    for (size_t i = 0; i < count; i++)
        if (blocks[i].bytes > 0) {
            blocks[i].offset = end;
            end = round_up(end + blocks[i].bytes, TENSOR_ALIGNMENT) + TENSOR_ALIGNMENT;
        }
    return end;
}

/* Where every temporary will be in the arena. */
static enum status pack_arena(struct plan *plan) {
    size_t count = plan->graph->tensor_count + plan->graph->node_count * LOWERING_SCRATCH;
    uint64_t total;
    plan->arena_unit = vk_facts(plan->device)->max_allocation / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
    if (plan->arena_unit == 0)
        return fail(
            STATUS_MEMORY, "tensors need allocations of %d bytes at least, %s allows %llu (maxMemoryAllocationSize)",
            TENSOR_ALIGNMENT, vk_facts(plan->device)->name, (unsigned long long)vk_facts(plan->device)->max_allocation);
    if (plan->options.guarded) {
        total = spread(plan->blocks, count);
        if (total > plan->arena_unit)
            return fail(
                STATUS_MEMORY,
                "guarded tensors need %llu bytes in one allocation, the device allows %llu (maxMemoryAllocationSize)",
                (unsigned long long)total, (unsigned long long)plan->arena_unit);
    } else {
        TRY(schedule_pack(plan->blocks, count, plan->arena_unit, &total));
    }
    plan->numbers.arena_bytes = total;
    plan->numbers.lower_bound = schedule_lower_bound(plan->blocks, count);
    for (size_t i = 0; i < count; i++)
        plan->numbers.unshared_bytes += plan->blocks[i].bytes;
    return STATUS_OK;
}

static enum status create_buffer(struct plan *plan, enum vk_memory kind, uint64_t bytes, const char *what,
                                 struct vk_buffer **out) {
    enum status status = vk_buffer_create(plan->device, kind, bytes, out);
    return status == STATUS_OK ? status : fail_prefix(status, "%s of a step", what);
}

static enum status create_arena(struct plan *plan) {
    uint64_t total = plan->numbers.arena_bytes;
    uint32_t arena_count = (uint32_t)ceil_div(total, plan->arena_unit);
    TRY(memory_zeroed(arena_count, sizeof(struct vk_buffer *), &plan->arena));
    for (; plan->arena_count < arena_count; plan->arena_count++) {
        uint64_t bytes = MIN(plan->arena_unit, total - plan->arena_count * plan->arena_unit);
        TRY(create_buffer(plan, VK_MEMORY_DEVICE, bytes, "values", &plan->arena[plan->arena_count]));
    }
    return STATUS_OK;
}

static struct vk_range arena_range(const struct plan *plan, const struct block *block) {
    return (struct vk_range){.buffer = plan->arena[block->offset / plan->arena_unit],
                             .offset = block->offset % plan->arena_unit,
                             .bytes = block->bytes};
}

/* Inputs and outputs stand side by side in one buffer each, so that one copy a step moves them. */
static void place_transfers(struct plan *plan) {
    const struct graph *graph = plan->graph;
    for (size_t t = 0; t < graph->tensor_count; t++) {
        const struct tensor *tensor = &graph->tensors[t];
        uint64_t *end = tensor->role == TENSOR_INPUT ? &plan->input_bytes : &plan->output_bytes;
        if (tensor->base != TENSOR_NONE || (tensor->role != TENSOR_INPUT && tensor->role != TENSOR_OUTPUT))
            continue;
        plan->locations[t] = (struct vk_range){.offset = *end, .bytes = tensor_bytes(tensor)};
        *end = round_up(*end + tensor_bytes(tensor), TENSOR_ALIGNMENT);
    }
}

static enum status create_transfers(struct plan *plan) {
    uint64_t slots = plan->options.slots;
    if (plan->input_bytes) {
        TRY(create_buffer(plan, VK_MEMORY_DEVICE, plan->input_bytes, "inputs", &plan->inputs));
        TRY(create_buffer(plan, VK_MEMORY_UPLOAD, plan->input_bytes * slots, "inputs", &plan->upload));
        memset(vk_buffer_map(plan->upload), 0, (size_t)(plan->input_bytes * slots));
    }
    if (plan->output_bytes) {
        TRY(create_buffer(plan, VK_MEMORY_DEVICE, plan->output_bytes, "outputs", &plan->outputs));
        TRY(create_buffer(plan, VK_MEMORY_DOWNLOAD, plan->output_bytes * slots, "outputs", &plan->download));
    }
    return STATUS_OK;
}

static enum status locate(struct plan *plan) {
    const struct graph *graph = plan->graph;
    for (size_t t = 0; t < graph->tensor_count; t++) {
        const struct tensor *tensor = &graph->tensors[t];
        struct vk_range *range = &plan->locations[t];
        if (tensor->base != TENSOR_NONE)
            continue;
        if (tensor->role == TENSOR_INPUT) {
            range->buffer = plan->inputs;
        } else if (tensor->role == TENSOR_OUTPUT) {
            range->buffer = plan->outputs;
        } else if (tensor->role == TENSOR_PERSISTENT) {
            range->bytes = tensor_bytes(tensor);
            TRY(store_get(plan->store, tensor->name, range->bytes, &range->buffer));
            plan->numbers.persistent_bytes += range->bytes;
        } else if (plan->blocks[t].bytes) {
            *range = arena_range(plan, &plan->blocks[t]);
        }
    }
    for (size_t t = 0; t < graph->tensor_count; t++) {
        uint64_t offset;
        tensor_id root = graph_root(graph, (tensor_id)t, &offset);
        plan->locations[t] = (struct vk_range){.buffer = plan->locations[root].buffer,
                                               .offset = plan->locations[root].offset + offset,
                                               .bytes = tensor_bytes(&graph->tensors[t])};
    }
    return STATUS_OK;
}

/* ---- binding ---- */

static struct vk_range operand_range(const struct plan *plan, size_t index, const struct operand *operand) {
    const struct node *node = &plan->graph->nodes[index];
    struct vk_range range;
    if (operand->kind == OPERAND_SCRATCH)
        range = arena_range(plan, &plan->blocks[plan->graph->tensor_count + index * LOWERING_SCRATCH + operand->index]);
    else
        range = plan->locations[operand->kind == OPERAND_INPUT ? node->in[operand->index] : node->out[operand->index]];
    range.offset += operand->offset;
    range.bytes = operand->bytes ? operand->bytes : range.bytes - operand->offset;
    return range;
}

static bool texels_fit(const struct bound_dispatch *bound, const struct device_facts *facts) {
    const struct vk_interface *interface = vk_kernel_interface(bound->kernel);
    bool fit = true;
    for (uint32_t i = 0; i < interface->binding_count && i < bound->range_count; i++)
        fit &= !interface->bindings[i].texels || bound->ranges[i].bytes / 16 <= facts->max_texel_elements;
    return fit;
}

/*
 * The variant that reads through texel buffers is taken where the device prefers it, has enough of them, and every
 * range fits.
 */
static enum status choose_kernel(const struct plan *plan, const struct dispatch *dispatch,
                                 struct bound_dispatch *bound) {
    const struct device_facts *facts = vk_facts(plan->device);
    snprintf(bound->kernel_name, sizeof bound->kernel_name, "%s.texels", dispatch->kernel);
    if (facts->prefers_texels && vk_kernel_exists(plan->device, bound->kernel_name)) {
        enum status status = vk_kernel_get(plan->device, bound->kernel_name, dispatch->constants,
                                           dispatch->constant_count, dispatch->subgroup_size, &bound->kernel);
        if (status != STATUS_MEMORY && (status != STATUS_OK || texels_fit(bound, facts)))
            return status;
    }
    snprintf(bound->kernel_name, sizeof bound->kernel_name, "%s", dispatch->kernel);
    return vk_kernel_get(plan->device, bound->kernel_name, dispatch->constants, dispatch->constant_count,
                         dispatch->subgroup_size, &bound->kernel);
}

static enum status bind_dispatch(const struct plan *plan, size_t index, const struct dispatch *dispatch,
                                 struct bound_dispatch *bound) {
    bound->node = (uint32_t)index;
    bound->flops = dispatch->flops;
    bound->bytes = dispatch->bytes;
    bound->push_count = dispatch->push_count;
    memcpy(bound->push, dispatch->push, sizeof bound->push);
    bound->constant_count = dispatch->constant_count;
    memcpy(bound->constants, dispatch->constants, sizeof bound->constants);
    memcpy(bound->groups, dispatch->groups, sizeof bound->groups);
    bound->range_count = dispatch->operand_count;
    for (uint32_t i = 0; i < dispatch->operand_count; i++)
        bound->ranges[i] = operand_range(plan, index, &dispatch->operands[i]);
    return choose_kernel(plan, dispatch, bound);
}

static enum status find_barriers(struct plan *plan) {
    struct hazards hazards = {0};
    enum status status = STATUS_OK;
    for (uint32_t d = 0; d < plan->dispatch_count && status == STATUS_OK; d++) {
        struct bound_dispatch *bound = &plan->dispatches[d];
        const struct vk_interface *interface = vk_kernel_interface(bound->kernel);
        struct access accesses[DISPATCH_OPERANDS];
        for (uint32_t i = 0; i < bound->range_count; i++)
            accesses[i] = (struct access){.buffer = bound->ranges[i].buffer,
                                          .begin = bound->ranges[i].offset,
                                          .end = bound->ranges[i].offset + bound->ranges[i].bytes,
                                          .write = (interface->bindings[i].access & VK_WRITES) != 0};
        status = hazards_add(&hazards, accesses, bound->range_count, &bound->barrier);
        bound->barrier |= d == 0;
        plan->numbers.barriers += bound->barrier;
    }
    hazards_destroy(&hazards);
    return status;
}

static enum status bind_all(struct plan *plan, const struct lowering *lowerings, const char *const *forms) {
    TRY(memory_zeroed(plan->dispatch_count, sizeof *plan->dispatches, &plan->dispatches));
    uint32_t d = 0;
    for (size_t i = 0; i < plan->graph->node_count; i++)
        for (uint32_t k = 0; k < lowerings[i].count; k++, d++) {
            plan->dispatches[d].form = forms[i];
            plan->dispatches[d].variant = lowerings[i].variant;
            TRY(name_node(plan, i, bind_dispatch(plan, i, &lowerings[i].dispatches[k], &plan->dispatches[d])));
        }
    vk_kernels_compile(plan->device);
    return find_barriers(plan);
}

/* ---- the whole ---- */

/* What every node becomes, one entry a node. */
struct lowered {
    struct lowering *lowerings;
    const char **forms;
};

static void lowered_destroy(struct lowered *lowered) {
    free(lowered->lowerings);
    free(lowered->forms);
}

/* Everything that is known without the device's memory, its sizes above all. */
static enum status lay_out(struct plan *plan, struct lowered *lowered) {
    const struct graph *graph = plan->graph;
    TRY(graph_status(graph));
    TRY(memory_zeroed(graph->tensor_count, sizeof *plan->locations, &plan->locations));
    TRY(memory_zeroed(graph->tensor_count + graph->node_count * LOWERING_SCRATCH, sizeof *plan->blocks, &plan->blocks));
    TRY(memory_zeroed(graph->node_count + 1, sizeof *plan->first_dispatch, &plan->first_dispatch));
    TRY(memory_zeroed(graph->node_count, sizeof *lowered->lowerings, &lowered->lowerings));
    TRY(memory_zeroed(graph->node_count, sizeof *lowered->forms, &lowered->forms));
    schedule_lifetimes(graph, plan->blocks);
    for (size_t i = 0; i < graph->node_count; i++) {
        TRY(lower_node(plan, i, &lowered->lowerings[i], &lowered->forms[i]));
        count_node(plan, i, &lowered->lowerings[i]);
    }
    plan->opening_dispatches = plan->first_dispatch[graph->opening];
    place_transfers(plan);
    return pack_arena(plan);
}

static enum status bind(struct plan *plan, const struct lowered *lowered) {
    TRY(create_arena(plan));
    TRY(create_transfers(plan));
    TRY(locate(plan));
    return bind_all(plan, lowered->lowerings, lowered->forms);
}

/* ---- recording ---- */

double plan_guess_ns(const struct bound_dispatch *bound) {
    return bound->flops / GUESS_FLOPS_PER_NS + bound->bytes / GUESS_BYTES_PER_NS;
}

static uint32_t piece_end(const struct plan *plan, uint32_t first) {
    double ns = 0;
    double most = PIECE_SHARE * (double)plan->options.budget_ns;
    uint32_t d = first, end = first < plan->opening_dispatches ? plan->opening_dispatches : plan->dispatch_count;
    do
        ns += plan_guess_ns(&plan->dispatches[d++]);
    while (d < end && ns + plan_guess_ns(&plan->dispatches[d]) < most);
    return d;
}

enum status plan_record_dispatches(struct plan *plan, struct vk_commands *commands, uint32_t first, uint32_t last) {
    uint32_t opening = plan->opening_dispatches;
    for (uint32_t d = first; d < last; d++) {
        bool timed = plan->options.timestamps && d >= opening;
        const struct bound_dispatch *bound = &plan->dispatches[d];
        if (bound->barrier && !plan->options.without_barriers)
            vk_record_barrier(commands);
        if (timed && d == opening)
            vk_record_timestamp(commands, 0);
        TRY(name_node(plan, bound->node,
                      vk_record_dispatch(commands, bound->kernel, bound->ranges, bound->range_count, bound->push,
                                         bound->push_count, bound->groups)));
        if (timed)
            vk_record_timestamp(commands, d - opening + 1);
    }
    return STATUS_OK;
}

static enum status record_pieces(struct plan *plan) {
    for (uint32_t d = 0; d < plan->dispatch_count; d = piece_end(plan, d))
        plan->piece_count++;
    TRY(memory_zeroed(plan->piece_count, sizeof *plan->pieces, &plan->pieces));
    TRY(memory_zeroed(plan->piece_count + 2, sizeof *plan->batch, &plan->batch));
    for (uint32_t d = 0, p = 0; d < plan->dispatch_count; p++) {
        uint32_t end = piece_end(plan, d);
        struct piece *piece = &plan->pieces[p];
        piece->first = d;
        piece->last = end;
        TRY(vk_commands_create(plan->device, &piece->commands));
        TRY(vk_begin(piece->commands));
        TRY(plan_record_dispatches(plan, piece->commands, d, end));
        TRY(vk_end(piece->commands));
        plan->opening_pieces += d < plan->opening_dispatches;
        d = end;
    }
    return STATUS_OK;
}

static enum status record_transfer(struct plan *plan, struct vk_buffer *from, uint64_t from_offset,
                                   struct vk_buffer *to, uint64_t to_offset, uint64_t bytes, struct vk_commands **out) {
    TRY(vk_commands_create(plan->device, out));
    TRY(vk_begin(*out));
    vk_record_barrier(*out);
    if (bytes)
        vk_record_copy(*out, (struct vk_range){from, from_offset, bytes}, to, to_offset);
    vk_record_barrier(*out);
    return vk_end(*out);
}

static enum status record_all(struct plan *plan) {
    if (plan_is_reference(plan))
        return plan->options.timestamps ? vk_timestamps_reserve(plan->device, 1) : STATUS_OK;
    if (plan->options.timestamps) {
        TRY(vk_timestamps_reserve(plan->device, plan->dispatch_count + 1));
        TRY(memory_zeroed(plan->dispatch_count + 1, sizeof *plan->timestamps, &plan->timestamps));
        TRY(memory_zeroed(plan->dispatch_count, sizeof *plan->timings, &plan->timings));
    }
    for (uint32_t s = 0; s < plan->options.slots; s++) {
        TRY(record_transfer(plan, plan->upload, s * plan->input_bytes, plan->inputs, 0, plan->input_bytes,
                            &plan->before[s]));
        TRY(record_transfer(plan, plan->outputs, 0, plan->download, s * plan->output_bytes, plan->output_bytes,
                            &plan->after[s]));
    }
    return record_pieces(plan);
}

/* ---- the public functions ---- */

/* Which persistent roots the opening reads, and which ones a step writes. */
static enum status note_persistent(struct plan *plan) {
    const struct graph *graph = plan->graph;
    TRY(memory_zeroed(2 * graph->tensor_count, sizeof *plan->reads, &plan->reads));
    plan->writes = plan->reads + graph->tensor_count;
    for (size_t i = 0; i < graph->node_count; i++) {
        const tensor_id *in = graph->nodes[i].in, *out = graph->nodes[i].out;
        for (int j = 0; i < graph->opening && j < OP_INPUTS; j++)
            if (in[j] != TENSOR_NONE)
                plan->reads[graph_root(graph, in[j], NULL)] = true;
        for (int k = 0; k < OP_OUTPUTS; k++)
            if (out[k] != TENSOR_NONE)
                plan->writes[graph_root(graph, out[k], NULL)] = true;
    }
    for (size_t t = 0; t < graph->tensor_count; t++) {
        plan->reads[t] &= graph->tensors[t].role == TENSOR_PERSISTENT;
        plan->writes[t] &= graph->tensors[t].role == TENSOR_PERSISTENT;
    }
    return STATUS_OK;
}

static enum status create(struct plan *plan, struct lowered *lowered) {
    TRY(lay_out(plan, lowered));
    TRY(note_persistent(plan));
    TRY(bind(plan, lowered));
    TRY(record_all(plan));
    plan->numbers.nodes = (uint32_t)plan->graph->node_count;
    plan->numbers.dispatches = plan->dispatch_count - plan->opening_dispatches;
    plan->numbers.pieces = plan->piece_count;
    return STATUS_OK;
}

/* A plan with its options, and nothing else yet. */
static enum status start(struct store *store, const struct graph *graph, const struct plan_options *options,
                         struct plan **out) {
    struct plan *plan;
    TRY(memory_zeroed(1, sizeof *plan, &plan));
    plan->store = store;
    plan->device = store_device(store);
    plan->graph = graph;
    if (options)
        plan->options = *options;
    if (!plan->options.budget_ns)
        plan->options.budget_ns = PLAN_BUDGET_NS;
    if (!plan->options.slots)
        plan->options.slots = 2;
    if (plan->options.timestamps || plan_is_reference(plan)) /* the timestamps of one step only; nothing overlaps */
        plan->options.slots = 1;
    plan->options.slots = MIN(plan->options.slots, (uint32_t)PLAN_SLOTS);
    *out = plan;
    return STATUS_OK;
}

enum status plan_create(struct store *store, const struct graph *graph, const struct plan_options *options,
                        struct plan **out) {
    struct lowered lowered = {0};
    *out = NULL;
    TRY(start(store, graph, options, out));
    enum status status = STATUS_OK;
    if ((*out)->options.selftest && !plan_is_reference(*out))
        status = selftest_run((*out)->options.selftest, (*out)->device, graph, &(*out)->options);
    if (status == STATUS_OK)
        status = create(*out, &lowered);
    lowered_destroy(&lowered);
    if (status != STATUS_OK) {
        plan_destroy(*out);
        *out = NULL;
    }
    return status;
}

/* Temporaries, inputs and outputs. */
static enum status measure(struct store *store, const struct graph *graph, const struct plan_options *options,
                           uint64_t *bytes) {
    struct lowered lowered = {0};
    struct plan *plan;
    TRY(start(store, graph, options, &plan));
    enum status status = lay_out(plan, &lowered);
    *bytes = plan->numbers.arena_bytes + (plan->input_bytes + plan->output_bytes) * (1 + plan->options.slots);
    lowered_destroy(&lowered);
    plan_destroy(plan);
    return status;
}

static bool has_persistent(const struct graph *graph, const char *name) {
    for (size_t t = 0; t < graph->tensor_count; t++)
        if (graph->tensors[t].base == TENSOR_NONE && graph->tensors[t].role == TENSOR_PERSISTENT &&
            strcmp(graph->tensors[t].name, name) == 0)
            return true;
    return false;
}

/* Of those that the store has to make: neither it nor one of the first `others` graphs has them. */
static uint64_t count_persistent(const struct store *store, const struct graph *graph,
                                 const struct plan_request *others, size_t count) {
    uint64_t sum = 0;
    for (size_t t = 0; t < graph->tensor_count; t++) {
        const struct tensor *tensor = &graph->tensors[t];
        bool there =
            tensor->base != TENSOR_NONE || tensor->role != TENSOR_PERSISTENT || store_version(store, tensor->name) > 0;
        for (size_t i = 0; i < count && !there; i++)
            there = has_persistent(others[i].graph, tensor->name);
        sum += there ? 0 : round_up(tensor_bytes(tensor), TENSOR_ALIGNMENT);
    }
    return sum;
}

enum status plan_measure(struct store *store, const struct plan_request *requests, size_t count, uint64_t *bytes) {
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t own = 0;
        TRY(measure(store, requests[i].graph, requests[i].options, &own));
        *bytes += own + count_persistent(store, requests[i].graph, requests, i);
    }
    return STATUS_OK;
}

void plan_destroy(struct plan *plan) {
    if (!plan)
        return;
    for (uint32_t p = 0; plan->pieces && p < plan->piece_count; p++)
        vk_commands_destroy(plan->pieces[p].commands);
    for (uint32_t s = 0; s < PLAN_SLOTS; s++) {
        vk_commands_destroy(plan->before[s]);
        vk_commands_destroy(plan->after[s]);
    }
    for (uint32_t a = 0; a < plan->arena_count; a++)
        vk_buffer_destroy(plan->arena[a]);
    vk_buffer_destroy(plan->inputs);
    vk_buffer_destroy(plan->outputs);
    vk_buffer_destroy(plan->upload);
    vk_buffer_destroy(plan->download);
    free(plan->arena);
    free(plan->locations);
    free(plan->blocks);
    free(plan->dispatches);
    free(plan->first_dispatch);
    free(plan->reads);
    free(plan->pieces);
    free(plan->batch);
    free(plan->timestamps);
    free(plan->timings);
    free(plan);
}

struct plan_numbers plan_numbers(const struct plan *plan) {
    return plan->numbers;
}

const char *plan_form(const struct plan *plan, size_t index) {
    return plan_is_reference(plan) ? "reference" : plan->dispatches[plan->first_dispatch[index]].form;
}

uint32_t plan_variant(const struct plan *plan, size_t index) {
    return plan_is_reference(plan) ? 0 : plan->dispatches[plan->first_dispatch[index]].variant;
}

static void print_bytes(FILE *file, const struct plan *plan, const char *what, tensor_id tensor) {
    if (tensor == TENSOR_NONE)
        return;
    char text[48];
    const struct tensor *value = &plan->graph->tensors[tensor];
    const struct block *block = &plan->blocks[graph_root(plan->graph, tensor, NULL)];
    fprintf(file, " %s=%s", what, shape_print(value->shape, text));
    if (block->bytes)
        fprintf(file, "@%llu[%u-%u]", (unsigned long long)plan->locations[tensor].offset, block->first, block->last);
}

/* Kernel, specialization constants, the subgroup size it must have, and its share of the work. */
static void print_dispatch(FILE *file, const struct bound_dispatch *bound) {
    fprintf(file, "       %s constants=", bound->kernel_name);
    for (uint32_t i = 0; i < bound->constant_count; i++)
        fprintf(file, "%s%u", i ? "," : "", bound->constants[i]);
    fprintf(file, " subgroup=%u groups=%ux%ux%u flops=%g\n", vk_kernel_interface(bound->kernel)->subgroup_size,
            bound->groups[0], bound->groups[1], bound->groups[2], bound->flops);
}

void plan_print(const struct plan *plan, FILE *file) {
    for (uint32_t i = 0; i < plan->graph->node_count; i++) {
        const struct node *node = &plan->graph->nodes[i];
        uint32_t first = plan->first_dispatch[i], count = plan->first_dispatch[i + 1] - first;
        char form[64];
        snprintf(form, sizeof form, plan_variant(plan, i) ? "%s %u" : "%s", plan_form(plan, i), plan_variant(plan, i));
        if (i == plan->graph->opening && i > 0)
            fprintf(file, "---- what stands above runs only when the values that it reads have changed\n");
        fprintf(file, "%4u %-34s %-28s %-9s x%u%s", i, node->scope, node->op->name, form, count,
                count && plan->dispatches[first].barrier ? " barrier" : "");
        for (int j = 0; node->op->inputs[j]; j++)
            print_bytes(file, plan, node->op->inputs[j], node->in[j]);
        for (int k = 0; node->op->outputs[k]; k++)
            print_bytes(file, plan, node->op->outputs[k], node->out[k]);
        fputc('\n', file);
        for (uint32_t d = first; d < first + count; d++)
            print_dispatch(file, &plan->dispatches[d]);
    }
    const struct plan_numbers *n = &plan->numbers;
    fprintf(file,
            "%u nodes, %u dispatches a step, %u barriers, %u command buffers\n"
            "arena %.1f MiB (lower bound %.1f MiB, without reuse %.1f MiB), persistent %.1f MiB\n",
            n->nodes, n->dispatches, n->barriers, n->pieces, (double)n->arena_bytes / 0x1p20,
            (double)n->lower_bound / 0x1p20, (double)n->unshared_bytes / 0x1p20, (double)n->persistent_bytes / 0x1p20);
}
