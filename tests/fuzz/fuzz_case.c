/* "conv2d x=2x9x9x5 weight=3x3x5x7": verify's --op and --shape, up to what would be sent to the weakest device. */
#include "fuzz.h"

#include "exec/verify_internal.h"

#include <stdlib.h>
#include <string.h>

/* A printed case is read as the same one. */
static void print_again(const struct call *call) {
    char line[VERIFY_LINE], again[VERIFY_LINE];
    struct verify_case parsed;
    struct graph graph;
    struct call second;
    size_t node;
    if (!verify_case_print(call, line))
        return;
    graph_create(&graph);
    if (verify_case_parse(call->op, line, &parsed) != STATUS_OK ||
        verify_case_build(&parsed, &graph, &node) != STATUS_OK)
        abort();
    graph_call(&graph, node, &second);
    if (!verify_case_print(&second, again) || strcmp(line, again) != 0)
        abort();
    graph_destroy(&graph);
}

static void lower(const struct call *call) {
    static struct lowering lowering;
    struct device_facts facts;
    facts_minimum(&facts);
    for (const struct form *form = call->op->forms; form->name; form++)
        for (uint32_t variant = 0, last = 0; variant <= last && variant < 40; variant++) {
            if (!form_lower(form, variant, call, &facts, &lowering))
                continue;
            last = lowering.variants;
            for (uint32_t i = 0; i < lowering.count; i++)
                for (int axis = 0; axis < 3; axis++)
                    if (lowering.dispatches[i].groups[axis] > facts.max_groups[axis])
                        abort();
        }
}

static enum status build(const struct op *op, const char *line) {
    struct verify_case parsed;
    struct graph graph;
    size_t node;
    TRY(verify_case_parse(op, line, &parsed));
    graph_create(&graph);
    enum status status = verify_case_build(&parsed, &graph, &node);
    if (status == STATUS_OK) {
        struct call call;
        graph_call(&graph, node, &call);
        print_again(&call);
        lower(&call);
    }
    graph_destroy(&graph);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char *name = strndup((const char *)bytes, size), *line = name + strcspn(name, " ");
    line += *line ? 1 : 0;
    name[strcspn(name, " ")] = '\0';
    const struct op *op = op_find(name);
    if (op)
        fuzz_answer(build(op, line));
    free(name);
    return 0;
}
