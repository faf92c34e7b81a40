/*
 * choose: which form a call is lowered to in a plan.
 */
#ifndef RVK_EXEC_CHOOSE_H
#define RVK_EXEC_CHOOSE_H

#include "exec/plan.h"

/*
 * What the options demand, else what was measured to be the fastest, else the first form of the list; but for the
 * first, never one that failed the self-test. NULL: none is left. Fills the lowering, which also says the variant.
 */
const struct form *choose_form(const struct call *call, const struct device_facts *facts,
                               const struct plan_options *options, struct lowering *lowering);

#endif
