/*
 * lost: says what the device was working on when it was lost. The driver does not tell; but submissions end in order,
 * so it was the first one that is not done, and in it most probably the longest dispatch.
 */
#include "exec/plan_internal.h"

#include "base/clock.h"
#include "exec/verify.h"

/* The first that is not done; the one that could not be submitted when all are; NULL when there is none. */
static const struct flight *find_unfinished(const struct plan *plan) {
    uint64_t count = plan->flight_count, first = count > PLAN_FLIGHTS ? count - PLAN_FLIGHTS : 0;
    for (uint64_t n = first; n < count; n++)
        if (!vk_finished(plan->device, plan->flights[n % PLAN_FLIGHTS].ticket))
            return &plan->flights[n % PLAN_FLIGHTS];
    const struct flight *refused = &plan->flights[count % PLAN_FLIGHTS];
    return refused->ns ? refused : NULL;
}

/* By its work; of a submission with at least one. */
static const struct bound_dispatch *find_longest(const struct plan *plan, const struct flight *flight) {
    const struct bound_dispatch *longest = &plan->dispatches[flight->first];
    for (uint32_t d = flight->first; d < flight->last; d++)
        if (plan_guess_ns(&plan->dispatches[d]) > plan_guess_ns(longest))
            longest = &plan->dispatches[d];
    return longest;
}

enum status plan_name_lost(const struct plan *plan, enum status status) {
    const struct flight *flight = status == STATUS_LOST ? find_unfinished(plan) : NULL;
    if (!flight)
        return status;
    double seconds = 1e-9 * (double)(clock_ns() - flight->ns);
    if (flight->first == flight->last)
        return fail_more(status, "; for %.3f s it was copying inputs or outputs", seconds);
    const struct bound_dispatch *longest = find_longest(plan, flight);
    const struct node *node = &plan->graph->nodes[longest->node];
    struct call call;
    char shape[VERIFY_LINE];
    graph_call(plan->graph, longest->node, &call);
    bool known = verify_case_print(&call, shape);
    return fail_more(status,
                     "; for %.3f s it was at a submission of %u dispatches, the longest of which is "
                     "%s%s%s (%s) %s",
                     seconds, flight->last - flight->first, node->scope, *node->scope ? " " : "", node->op->name,
                     longest->form, known ? shape : "");
}
