#include "exec/choose.h"

#include "exec/selftest.h"

#include <string.h>

/* The first form called `name` (NULL: of any name) that lowers the call in this variant and is none of the refused. */
static const struct form *find(const struct call *call, const struct device_facts *facts, const char *name,
                               uint32_t variant, const struct selftest *refused, struct lowering *lowering) {
    for (const struct form *form = call->op->forms; form->name; form++)
        if ((!name || strcmp(form->name, name) == 0) &&
            !(refused && selftest_refuses(refused, call->op, form->name, variant)) &&
            form_lower(form, variant, call, facts, lowering))
            return form;
    return NULL;
}

const struct form *choose_form(const struct call *call, const struct device_facts *facts,
                               const struct plan_options *options, struct lowering *lowering) {
    const struct tuning_choice *tuned = options->tuning ? tuning_find(options->tuning, call) : NULL;
    const struct form *found = NULL;
    if (options->form)
        found = find(call, facts, options->form, options->variant, NULL, lowering);
    else if (tuned)
        found = find(call, facts, tuned->form, tuned->variant, options->selftest, lowering);
    return found ? found : find(call, facts, NULL, 0, options->selftest, lowering);
}
