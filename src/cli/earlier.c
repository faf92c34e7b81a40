#include "cli/earlier.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_text(json_t *record, const char *name, const char *value) {
    const char *text = json_string_value(json_object_get(record, name));
    return text && strcmp(text, value) == 0;
}

static enum rvk_status read_samples(const char *path, json_t *record, struct rvk_samples *samples) {
    json_t *list = json_object_get(json_object_get(record, "ms"), "samples");
    size_t count = json_array_size(list);
    if (count < 1 || count > RVK_BENCH_SAMPLES)
        return cli_fail(RVK_DATA, "%s: \"ms\" must hold 1 to %d samples, not %zu", path, RVK_BENCH_SAMPLES, count);
    *samples = (struct rvk_samples){.count = (uint32_t)count};
    for (size_t i = 0; i < count; i++) {
        samples->ms[i] = json_number_value(json_array_get(list, i));
        if (!(samples->ms[i] > 0) || !isfinite(samples->ms[i]))
            return cli_fail(RVK_DATA, "%s: sample %zu of \"ms\" is no positive number", path, i);
    }
    rvk_summarize(samples);
    return RVK_OK;
}

/* The sentence about a member that differs. */
static enum rvk_status refuse(const char *path, const char *name, json_t *theirs, json_t *ours) {
    char *a = theirs ? json_dumps(theirs, JSON_ENCODE_ANY) : NULL, *b = json_dumps(ours, JSON_ENCODE_ANY);
    enum rvk_status status = cli_fail(RVK_DATA, "%s measured something else: its %s is %.200s, not %.200s", path, name,
                                      a ? a : "absent", b ? b : "?");
    free(a);
    free(b);
    return status;
}

static enum rvk_status read_record(const char *path, json_t *record, json_t *what, struct earlier *earlier) {
    const char *name;
    json_t *value;
    if (!is_text(record, "program", "resnet-vk") || !is_text(record, "command", "bench"))
        return cli_fail(RVK_DATA, "%s is not what bench --json wrote", path);
    if (json_integer_value(json_object_get(record, "schema")) != 1)
        return cli_fail(RVK_DATA, "%s: only schema 1 can be read", path);
    json_object_foreach(what, name, value) {
        if (!json_equal(json_object_get(record, name), value))
            return refuse(path, name, json_object_get(record, name), value);
    }
    const char *device = json_string_value(json_object_get(json_object_get(record, "device"), "name"));
    snprintf(earlier->device, sizeof earlier->device, "%s", device ? device : "");
    return read_samples(path, record, &earlier->ms);
}

enum rvk_status earlier_read(const char *path, json_t *what, struct earlier *earlier) {
    json_error_t error;
    json_t *record = json_load_file(path, 0, &error);
    if (!record && error.line < 1)
        return cli_fail(RVK_DATA, "%s", error.text);
    if (!record)
        return cli_fail(RVK_DATA, "%s is not what bench --json wrote: line %d: %s", path, error.line, error.text);
    enum rvk_status status = read_record(path, record, what, earlier);
    json_decref(record);
    return status;
}

double earlier_ratio(const struct rvk_samples *now, const struct earlier *earlier) {
    return now->median / earlier->ms.median;
}
