/* compare: what is known of each run, and means over seeds. */
#include "cli/compare.h"

#include "base/file.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct compare_run *compare_at(const struct comparison *comparison, size_t network, uint32_t seed) {
    return &comparison->runs[network * comparison->seeds + seed];
}

enum rvk_status compare_add_epoch(struct compare_run *run, uint32_t number, const struct compare_epoch *epoch) {
    if (number >= run->count) {
        struct compare_epoch *more = realloc(run->epochs, (number + 1) * sizeof *more);
        if (!more)
            return cli_fail(RVK_MEMORY, "out of host memory for the epochs of %s", run->model);
        memset(more + run->count, 0, (number + 1 - run->count) * sizeof *more);
        run->epochs = more;
        run->count = number + 1;
    }
    run->epochs[number] = *epoch;
    return RVK_OK;
}

/* ---- the log ---- */

static double number(const json_t *line, const char *key) {
    return json_number_value(json_object_get(line, key));
}

static enum rvk_status take_epoch(struct compare_run *run, const json_t *line) {
    enum { MOST = 100000 };
    json_int_t index = json_integer_value(json_object_get(line, "epoch"));
    if (index < 1 || index > MOST)
        return RVK_OK;
    struct compare_epoch epoch = {
        .known = true,
        .validated = json_object_get(line, "validation_accuracy") != NULL,
        .train_error = 1 - number(line, "train_accuracy"),
        .train_loss = number(line, "train_loss"),
        .validation_error = 1 - number(line, "validation_accuracy"),
        .validation_loss = number(line, "validation_loss"),
        .seconds = number(line, "seconds"),
    };
    return compare_add_epoch(run, (uint32_t)index - 1, &epoch);
}

static enum rvk_status take_line(struct compare_run *run, const json_t *line) {
    const char *event = json_string_value(json_object_get(line, "event"));
    if (!event)
        return RVK_OK;
    if (strcmp(event, "epoch") == 0)
        return take_epoch(run, line);
    if (strcmp(event, "start") == 0)
        run->trainable = (uint64_t)json_integer_value(json_object_get(line, "trainable"));
    run->tested = strcmp(event, "test") == 0;
    if (run->tested) {
        run->test_error = 1 - number(line, "test_accuracy");
        run->test_loss = number(line, "test_loss");
    }
    return RVK_OK;
}

enum rvk_status compare_read_log(struct compare_run *run) {
    char path[640], *text = NULL;
    size_t room = 0;
    enum rvk_status status = RVK_OK;
    snprintf(path, sizeof path, "%s/log.jsonl", run->folder);
    FILE *file = *run->folder ? file_open(path) : NULL;
    while (file && status == RVK_OK && getline(&text, &room, file) >= 0) {
        json_t *line = json_loads(text, 0, NULL);
        status = take_line(run, line);
        json_decref(line);
    }
    free(text);
    if (file)
        fclose(file);
    return status;
}

/* ---- means ---- */

static struct compare_mean mean_of(const double *values, uint32_t count) {
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += values[i];
    double mean = count ? sum / count : NAN;
    for (uint32_t i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return (struct compare_mean){count, mean, count > 1 ? sqrt(squares / (count - 1)) : NAN};
}

enum quantity { TRAIN_ERROR, VALIDATION_ERROR, BEST_ERROR, TEST_ERROR };

/* NAN: the run does not know it (yet). */
static double value_of(const struct compare_run *run, enum quantity quantity, uint32_t epochs) {
    const struct compare_epoch *last = run->count ? &run->epochs[run->count - 1] : NULL;
    double best = NAN;
    if (quantity == TEST_ERROR)
        return run->tested ? run->test_error : NAN;
    if (!last || (run->count < epochs && !run->tested)) /* a run that was stopped is no result */
        return NAN;
    if (quantity == TRAIN_ERROR)
        return last->train_error;
    if (quantity == VALIDATION_ERROR)
        return last->validated ? last->validation_error : NAN;
    for (uint32_t i = 0; i < run->count; i++)
        if (run->epochs[i].validated && !(best <= run->epochs[i].validation_error))
            best = run->epochs[i].validation_error;
    return best;
}

static struct compare_mean mean_over_seeds(const struct comparison *comparison, size_t network,
                                           enum quantity quantity) {
    double values[COMPARE_SEEDS];
    uint32_t count = 0;
    for (uint32_t seed = 0; seed < comparison->seeds; seed++) {
        double value = value_of(compare_at(comparison, network, seed), quantity, comparison->epochs);
        if (isfinite(value))
            values[count++] = value;
    }
    return mean_of(values, count);
}

void compare_sum_up(const struct comparison *comparison, size_t network, struct compare_network *out) {
    *out = (struct compare_network){
        .model = compare_at(comparison, network, 0)->model,
        .train = mean_over_seeds(comparison, network, TRAIN_ERROR),
        .validation = mean_over_seeds(comparison, network, VALIDATION_ERROR),
        .best = mean_over_seeds(comparison, network, BEST_ERROR),
        .test = mean_over_seeds(comparison, network, TEST_ERROR),
    };
    for (uint32_t seed = 0; seed < comparison->seeds; seed++) {
        const struct compare_run *run = compare_at(comparison, network, seed);
        out->trainable = run->trainable ? run->trainable : out->trainable;
        out->tested += run->tested;
        for (uint32_t i = 0; i < run->count; i++)
            out->seconds += run->epochs[i].seconds;
    }
}

struct compare_epoch compare_mean_epoch(const struct comparison *comparison, size_t network, uint32_t epoch) {
    struct compare_epoch sum = {0};
    uint32_t known = 0, validated = 0;
    for (uint32_t seed = 0; seed < comparison->seeds; seed++) {
        const struct compare_run *run = compare_at(comparison, network, seed);
        const struct compare_epoch *one = epoch < run->count ? &run->epochs[epoch] : NULL;
        if (!one || !one->known)
            continue;
        known++;
        sum.train_error += one->train_error;
        sum.train_loss += one->train_loss;
        if (!one->validated)
            continue;
        validated++;
        sum.validation_error += one->validation_error;
        sum.validation_loss += one->validation_loss;
    }
    sum.known = known > 0;
    sum.validated = validated > 0;
    sum.train_error = known ? sum.train_error / known : NAN;
    sum.train_loss = known ? sum.train_loss / known : NAN;
    sum.validation_error = validated ? sum.validation_error / validated : NAN;
    sum.validation_loss = validated ? sum.validation_loss / validated : NAN;
    return sum;
}
