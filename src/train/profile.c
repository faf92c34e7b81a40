#include "train/profile.h"

#include "base/file.h"
#include "base/memory.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The row of `op`; further ops share the last row when the table is full. */
static struct profile_row *find(struct profile *profile, const char *op) {
    for (uint32_t i = 0; i < profile->count; i++)
        if (strcmp(profile->rows[i].op, op) == 0)
            return &profile->rows[i];
    if (profile->count == PROFILE_ROWS)
        return &profile->rows[PROFILE_ROWS - 1];
    profile->rows[profile->count] = (struct profile_row){.op = op};
    return &profile->rows[profile->count++];
}

enum status profile_add(struct profile *profile, struct plan *plan) {
    const struct plan_timing *timings;
    uint32_t count;
    TRY(plan_timings(plan, &timings, &count));
    for (uint32_t i = 0; i < count; i++) {
        struct profile_row *row = find(profile, timings[i].op);
        row->dispatches++;
        row->ms += 1e-6 * (double)(timings[i].end_ns - timings[i].start_ns);
        row->flops += timings[i].flops;
    }
    profile->steps++;
    return STATUS_OK;
}

static int longer(const void *a, const void *b) {
    double x = ((const struct profile_row *)a)->ms, y = ((const struct profile_row *)b)->ms;
    return x < y ? 1 : x > y ? -1 : 0;
}

void profile_finish(struct profile *profile) {
    double sum = 0;
    for (uint32_t i = 0; i < profile->count; i++)
        sum += profile->rows[i].ms;
    for (uint32_t i = 0; i < profile->count; i++) {
        struct profile_row *row = &profile->rows[i];
        row->share = sum > 0 ? row->ms / sum : 0;
        row->gflops = row->ms > 0 ? 1e-6 * row->flops / row->ms : 0;
        row->dispatches /= profile->steps;
        row->ms /= profile->steps;
        row->flops /= profile->steps;
    }
    qsort(profile->rows, profile->count, sizeof *profile->rows, longer);
}

/* A complete event ("X"); times in microseconds. */
static json_t *event(const struct plan_timing *timing) {
    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:i, s:i, s:{s:s, s:s, s:s, s:f, s:f}}", "name", timing->op, "cat",
                     timing->scope, "ph", "X", "ts", 1e-3 * (double)timing->start_ns, "dur",
                     1e-3 * (double)(timing->end_ns - timing->start_ns), "pid", 1, "tid", 1, "args", "scope",
                     timing->scope, "kernel", timing->kernel, "form", timing->form, "flops", timing->flops, "bytes",
                     timing->bytes);
}

enum status profile_write_trace(struct plan *plan, const char *path) {
    const struct plan_timing *timings;
    uint32_t count;
    TRY(plan_timings(plan, &timings, &count));
    json_t *events = json_array();
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(events, event(&timings[i]));
    json_t *trace = json_pack("{s:o, s:s}", "traceEvents", events, "displayTimeUnit", "ms");
    char *text = json_dumps(trace, JSON_INDENT(0));
    json_decref(trace);
    if (!text)
        return fail(STATUS_MEMORY, "%s: out of memory for the trace of %u dispatches", path, count);
    enum status status = file_write_atomic(path, &(struct file_piece){text, strlen(text)}, 1);
    free(text);
    return status;
}
