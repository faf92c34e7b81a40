#include "ir/op.h"

#include "base/memory.h"
#include "ir/graph.h"
#include "ir/limits.h"
#include "ir/slice.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct op *op_find(const char *name) {
    for (const struct op *const *op = op_table; *op; op++)
        if (strcmp((*op)->name, name) == 0)
            return *op;
    return NULL;
}

static int count_names(const char *const *names) {
    int count = 0;
    while (names[count])
        count++;
    return count;
}

int op_input_count(const struct op *op) {
    return count_names(op->inputs);
}

int op_output_count(const struct op *op) {
    return count_names(op->outputs);
}

int op_attribute_count(const struct op *op) {
    int count = 0;
    while (op->attributes[count].name)
        count++;
    return count;
}

bool op_rounds_more(const struct op *op, const char *form) {
    return op->rounds_more.form && strcmp(op->rounds_more.form, form) == 0;
}

bool form_lower(const struct form *form, uint32_t variant, const struct call *call, const struct device_facts *facts,
                struct lowering *lowering) {
    memset(lowering, 0, sizeof *lowering);
    lowering->variant = variant;
    return slice_lower(form, call, facts, lowering) && variant <= lowering->variants;
}

static bool lowers(const struct call *call, const struct device_facts *facts, struct lowering *lowering) {
    for (const struct form *form = call->op->forms; form->name; form++)
        if (form_lower(form, 0, call, facts, lowering))
            return true;
    return false;
}

/* The least value of a limit with which the call can be lowered, by halving; 0: none helps. */
static uint64_t find_need(const struct call *call, const struct device_facts *facts, const struct limit *limit,
                          struct lowering *lowering) {
    struct device_facts better = *facts;
    uint64_t below = limit_get(limit, facts), need = limit->type == LIMIT_FEATURE ? 1 : UINT64_C(1) << 31;
    need = limit->type == LIMIT_64 ? UINT64_C(1) << 40 : need;
    limit_set(limit, &better, need);
    if (need <= below || !lowers(call, &better, lowering))
        return 0;
    while (need - below > 1) {
        uint64_t middle = below + (need - below) / 2;
        limit_set(limit, &better, middle);
        if (lowers(call, &better, lowering))
            need = middle;
        else
            below = middle;
    }
    return need;
}

enum status op_refuse(const struct call *call, const struct device_facts *facts) {
    struct lowering *lowering;
    uint64_t need = 0;
    const struct limit *limit = limit_table;
    TRY(memory_zeroed(1, sizeof *lowering, &lowering));
    for (; limit < limit_table + LIMIT_COUNT && need == 0; limit++)
        need = find_need(call, facts, limit, lowering);
    free(lowering);
    if (need == 0)
        return fail(STATUS_DEVICE, "no form of this op runs on %s with these shapes", facts->name);
    limit--;
    return fail(limit->type == LIMIT_FEATURE ? STATUS_DEVICE : STATUS_MEMORY,
                "it needs %s %llu with these shapes, %s has %llu", limit->name, (unsigned long long)need, facts->name,
                (unsigned long long)limit_get(limit, facts));
}

int op_input_index(const struct op *op, const char *name) {
    size_t length = strlen(name);
    for (int i = 0; op->inputs[i]; i++)
        if (strncmp(op->inputs[i], name, length) == 0 &&
            (op->inputs[i][length] == '\0' || op->inputs[i][length] == '?'))
            return i;
    return -1;
}

int op_attribute_index(const struct op *op, const char *name) {
    for (int i = 0; op->attributes[i].name; i++)
        if (strcmp(op->attributes[i].name, name) == 0)
            return i;
    return -1;
}

bool op_input_optional(const struct op *op, int input) {
    return strchr(op->inputs[input], '?') != NULL;
}

static double attribute_value(const struct op *op, const double *values, const char *name) {
    int index = op_attribute_index(op, name);
    assert(index >= 0);
    return values[index];
}

double attr(const struct call *call, const char *name) {
    return attribute_value(call->op, call->attribute, name);
}

uint32_t attr_u(const struct call *call, const char *name) {
    return (uint32_t)lrint(attr(call, name));
}

double node_attr(const struct node *node, const char *name) {
    return attribute_value(node->op, node->attribute, name);
}
