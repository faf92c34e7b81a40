/*
 * verify_compare: one output of a device, held to the reference's answer.
 */
#include "exec/verify_internal.h"

#include "base/memory.h"
#include "ir/bound.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a flushed denormal or an underflow may cost when hostile data meets values of ordinary size. */
#define HOSTILE_SLACK 1e-20

static void describe(const struct call *call, int k, uint64_t index, double got, double expected, double bound,
                     struct verify_result *result) {
    uint32_t at[4];
    for (int d = 3; d >= 0; d--) {
        at[d] = (uint32_t)(index % call->out[k]->shape.d[d]);
        index /= call->out[k]->shape.d[d];
    }
    if (bound == BOUND_ANY)
        snprintf(result->failure, sizeof result->failure, "%s[%u,%u,%u,%u] is %.9g, where it must not be finite",
                 call->op->outputs[k], at[0], at[1], at[2], at[3], got);
    else
        snprintf(result->failure, sizeof result->failure,
                 "%s[%u,%u,%u,%u] is %.9g, expected %.9g, error %.3g over the bound %.3g", call->op->outputs[k], at[0],
                 at[1], at[2], at[3], got, expected, fabs(got - expected), bound);
}

/* Error as a share of its bound: at most 1 passes. */
static double share(double got, double expected, double bound, enum data_kind kind) {
    double narrow = (double)(float)expected;
    if (bound == BOUND_ANY)
        return isfinite(expected) || !isfinite(got) ? 0 : INFINITY;
    if (isnan(expected))
        return isnan(got) ? 0 : INFINITY;
    if (got == expected || got == narrow) /* the nearest float is right by definition, infinities included */
        return 0;
    if (isnan(got) || isinf(got) || isinf(narrow))
        return INFINITY;
    if (kind == DATA_EXACT)
        return INFINITY;
    bound += kind == DATA_HOSTILE ? HOSTILE_SLACK : 0;
    return bound > 0 ? fabs(got - expected) / bound : INFINITY;
}

static void compare_padding(const struct call *call, int k, const void *stored, struct verify_result *result) {
    const struct tensor *tensor = call->out[k];
    uint32_t row = tensor_row(tensor), width = tensor->shape.d[3];
    uint64_t rows = tensor_elements(tensor) / row;
    for (uint64_t r = 0; r < rows && !*result->failure; r++)
        for (uint32_t c = width; c < row; c++)
            if (((const uint32_t *)stored)[r * row + c] & 0x7fffffffu) {
                snprintf(result->failure, sizeof result->failure, "%s: the padding of row %llu is not zero",
                         call->op->outputs[k], (unsigned long long)r);
                break;
            }
}

static void compare_norm(const struct call *call, bool wider, int k, double error, double norm,
                         struct verify_result *result) {
    double bound = wider ? call->op->rounds_more.l2_bound : call->op->l2_bound[k];
    if (bound > 0 && sqrt(error) > bound * sqrt(norm) && !*result->failure)
        snprintf(result->failure, sizeof result->failure, "%s: the L2-relative error %.3g is over the bound %.3g",
                 call->op->outputs[k], sqrt(error / norm), bound);
}

void verify_compare(const struct call *call, int k, const void *stored, const struct expectation *expected,
                    enum data_kind kind, struct verify_result *result, uint64_t *nonzero) {
    const struct tensor *tensor = call->out[k];
    bool wider = op_rounds_more(call->op, result->form);
    double factor = wider ? call->op->rounds_more.factor : 1;
    uint64_t count = shape_count(tensor->shape);
    double *got = malloc((size_t)count * sizeof *got), error = 0, norm = 0;
    if (!got) {
        snprintf(result->failure, sizeof result->failure, "out of host memory");
        return;
    }
    tensor_load(tensor, stored, got);
    for (uint64_t i = 0; i < count; i++) {
        double value = expected->value[k][i], bound = factor * expected->bound[k][i];
        double ratio = share(got[i], value, bound, kind);
        if (ratio > 1 && !*result->failure)
            describe(call, k, i, got[i], value, bound, result);
        result->worst = fmax(result->worst, ratio);
        *nonzero += value != 0;
        error += (got[i] - value) * (got[i] - value);
        norm += value * value;
    }
    result->values += count;
    free(got);
    if (tensor->dtype != DTYPE_U8)
        compare_padding(call, k, stored, result);
    if (kind == DATA_RANDOM)
        compare_norm(call, wider, k, error, norm, result);
}

void verify_describe(struct verify_result *result) {
    char variant[32] = "";
    if (result->variant)
        snprintf(variant, sizeof variant, " --variant %u", result->variant);
    snprintf(result->repeat, sizeof result->repeat,
             "resnet-vk verify --op %s --form %s%s --shape \"%s\" --data %s --seed %u", result->op, result->form,
             variant, result->shape + (*result->shape == '+'), data_kind_name(result->kind), result->seed);
}

void verify_report(const struct verify_options *options, struct verify_result *result, struct verify_summary *summary) {
    if (*result->failure)
        result->outcome = VERIFY_FAILED;
    summary->passed += result->outcome == VERIFY_PASSED;
    summary->failed += result->outcome == VERIFY_FAILED;
    summary->mistrusted += result->outcome == VERIFY_MISTRUSTED;
    summary->values += result->values;
    if (options->report)
        options->report(options->user, result);
}
