#include "ir/op.h"

#include "ir/graph.h"
#include "ir/slice.h"

#include <assert.h>
#include <math.h>
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
