/*
 * api: the public training options: their defaults, their JSON record (which a checkpoint carries, so that a run can be
 * resumed without repeating them) and what they mean to the trainer.
 */
#include "api/internal.h"

#include "base/memory.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- defaults ---- */

static void set_text(const char **text, const char *otherwise) {
    *text = api_text(*text, otherwise);
}

static void set_whole(uint32_t *value, uint32_t otherwise) {
    *value = *value ? *value : otherwise;
}

/* Zero: the default. Negative: zero. */
static void set_real(double *value, double otherwise) {
    *value = *value < 0 ? 0 : *value != 0 ? *value : otherwise;
}

static double default_decay(const struct rvk_train_options *options) {
    if (strcmp(options->style, "keras") == 0 || strcmp(options->optimizer, "adam") == 0)
        return 0;
    return strcmp(options->optimizer, "adamw") == 0 ? 0.01 : 0.0005;
}

void train_options_fill(struct rvk_train_options *options) {
    set_text(&options->model, "resnet20");
    set_text(&options->style, "torch");
    set_text(&options->data, "fashion-mnist");
    set_text(&options->normalize, "auto");
    set_text(&options->augment, "auto");
    set_text(&options->optimizer, "sgd");
    set_text(&options->decay, "weights");
    set_text(&options->schedule, "cosine");
    set_whole(&options->shift, 4);
    set_whole(&options->epochs, 20);
    set_whole(&options->batch, 128);
    set_whole(&options->accumulate, 1);
    set_whole(&options->eval_batch, 256);
    set_whole(&options->patience, 5);
    set_real(&options->learning_rate, strcmp(options->optimizer, "sgd") == 0 ? 0.1 : 0.001);
    set_real(&options->momentum, 0.9);
    set_real(&options->weight_decay, default_decay(options));
    set_real(&options->factor, 0.1);
    set_real(&options->layer_decay, 1);
    set_real(&options->head_rate, 1);
}

/* ---- record ---- */

enum field_type { FIELD_BOOL, FIELD_WHOLE, FIELD_REAL, FIELD_TEXT };

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
};

#define FIELD(type, name)                                                                                              \
    { #name, FIELD_##type, offsetof(struct rvk_train_options, name) }
/* The options that belong to the run and not to one call. */
static const struct field fields[] = {
    FIELD(TEXT, model),        FIELD(TEXT, style),           FIELD(TEXT, data),
    FIELD(WHOLE, train_limit), FIELD(WHOLE, test_limit),     FIELD(REAL, validation_split),
    FIELD(TEXT, normalize),    FIELD(TEXT, augment),         FIELD(WHOLE, shift),
    FIELD(WHOLE, size),        FIELD(TEXT, cache),           FIELD(WHOLE, epochs),
    FIELD(WHOLE, batch),       FIELD(WHOLE, eval_batch),     FIELD(WHOLE, seed),
    FIELD(TEXT, optimizer),    FIELD(REAL, learning_rate),   FIELD(REAL, momentum),
    FIELD(BOOL, nesterov),     FIELD(REAL, weight_decay),    FIELD(TEXT, decay),
    FIELD(TEXT, schedule),     FIELD(REAL, warmup),          FIELD(REAL, factor),
    FIELD(TEXT, drops),        FIELD(WHOLE, patience),       FIELD(REAL, label_smoothing),
    FIELD(WHOLE, early_stop),  FIELD(REAL, target_accuracy), FIELD(WHOLE, accumulate),
    FIELD(TEXT, freeze_until), FIELD(BOOL, freeze_norm),     FIELD(REAL, layer_decay),
    FIELD(REAL, head_rate),    FIELD(TEXT, weights),         FIELD(REAL, mixup),
    FIELD(REAL, cutmix),
};

static json_t *write_field(const struct field *field, const void *value) {
    switch (field->type) {
    case FIELD_BOOL:
        return json_boolean(*(const bool *)value);
    case FIELD_WHOLE:
        return json_integer(*(const uint32_t *)value);
    case FIELD_REAL:
        return json_real(*(const double *)value);
    case FIELD_TEXT:
        break;
    }
    const char *text = *(const char *const *)value;
    return text ? json_string(text) : json_null();
}

enum status train_options_write(const struct rvk_train_options *options, char **json) {
    json_t *object = json_object();
    bool complete = true;
    for (size_t i = 0; i < COUNT(fields); i++) {
        json_t *value = write_field(&fields[i], (const char *)options + fields[i].offset);
        complete = json_object_set_new(object, fields[i].name, value) == 0 && complete;
    }
    *json = complete ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return *json ? STATUS_OK : fail(STATUS_MEMORY, "the options cannot be recorded: out of memory, or not UTF-8");
}

static bool read_field(const struct field *field, json_t *json, void *value) {
    switch (field->type) {
    case FIELD_BOOL:
        *(bool *)value = json_is_true(json);
        return json_is_boolean(json);
    case FIELD_WHOLE:
        *(uint32_t *)value = (uint32_t)json_integer_value(json);
        return json_is_integer(json) && json_integer_value(json) >= 0 && json_integer_value(json) <= UINT32_MAX;
    case FIELD_REAL:
        *(double *)value = json_number_value(json);
        return json_is_number(json);
    case FIELD_TEXT:
        *(const char **)value = json_string_value(json);
        return json_is_string(json) || json_is_null(json);
    }
    return false;
}

enum status train_options_read(struct rvk_train_options *options, const char *json, void **keep) {
    json_t *object = json_loads(json, 0, NULL);
    json_t *added = json_pack("{s:i, s:i, s:n, s:n, s:b, s:f, s:f, s:n, s:f, s:f}", "accumulate", 1, "size", 0, "cache",
                              "freeze_until", "freeze_norm", 0, "layer_decay", 1.0, "head_rate", 1.0, "weights",
                              "mixup", 0.0, "cutmix", 0.0); /* records of version 0.1.0 lack them */
    *keep = object;
    json_object_update_missing(object, added);
    json_decref(added);
    for (size_t i = 0; i < COUNT(fields); i++)
        if (!read_field(&fields[i], json_object_get(object, fields[i].name), (char *)options + fields[i].offset))
            return fail(STATUS_DATA, "the recorded options have no usable value for %s", fields[i].name);
    return STATUS_OK;
}

/* ---- meaning ---- */

/* Index of `word` in the list, which ends with NULL. */
static enum status choose(const char *what, const char *word, const char *const words[], int *index) {
    char list[128] = "";
    for (*index = 0; words[*index]; ++*index) {
        if (strcmp(word, words[*index]) == 0)
            return STATUS_OK;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *index ? ", " : "", words[*index]);
    }
    return fail(STATUS_USAGE, "%s must be one of %s, not '%s'", what, list, word);
}

static enum status check_numbers(const struct rvk_train_options *options) {
    if (!(options->validation_split >= 0 && options->validation_split < 1))
        return fail(STATUS_USAGE, "the validation split must be at least 0 and below 1, not %g",
                    options->validation_split);
    if (!(options->learning_rate > 0 && isfinite(options->learning_rate)))
        return fail(STATUS_USAGE, "the learning rate must be above 0, not %g", options->learning_rate);
    if (!(options->momentum < 1))
        return fail(STATUS_USAGE, "the momentum must be below 1, not %g", options->momentum);
    if (options->nesterov && (options->momentum == 0 || strcmp(options->optimizer, "sgd") != 0))
        return fail(STATUS_USAGE, "Nesterov's rule needs the optimizer sgd with a momentum");
    if (options->warmup != 0 && strcmp(options->schedule, "onecycle") == 0)
        return fail(STATUS_USAGE, "the schedule onecycle begins with a rise of its own: leave the warm-up out");
    if (!(options->warmup >= 0 && options->warmup <= options->epochs))
        return fail(STATUS_USAGE, "the warm-up must be 0 to %u epochs, not %g", options->epochs, options->warmup);
    if (!(options->label_smoothing >= 0 && options->label_smoothing < 1))
        return fail(STATUS_USAGE, "the label smoothing must be at least 0 and below 1, not %g",
                    options->label_smoothing);
    if (!(options->mixup >= 0 && options->mixup <= 100 && options->cutmix >= 0 && options->cutmix <= 100))
        return fail(STATUS_USAGE, "mixup and cutmix must be from 0 to 100, not %g and %g", options->mixup,
                    options->cutmix);
    if (!(options->layer_decay > 0 && options->layer_decay <= 1))
        return fail(STATUS_USAGE, "the layer decay must be above 0 and at most 1, not %g", options->layer_decay);
    if (!(options->head_rate > 0 && isfinite(options->head_rate)))
        return fail(STATUS_USAGE, "the rate of the head must be above 0, not %g", options->head_rate);
    return STATUS_OK;
}

/* "80,120" epochs as shares of the training. */
static enum status convert_drops(const char *text, uint32_t epochs, struct schedule *schedule) {
    if (!text || !*text) {
        schedule->drops[0] = 0.5, schedule->drops[1] = 0.75;
        schedule->drop_count = 2;
        return STATUS_OK;
    }
    for (const char *c = text;; c++) {
        char *end;
        double epoch = strtod(c, &end);
        if (end == c || (*end && *end != ',') || !(epoch >= 0) || schedule->drop_count == SCHEDULE_DROPS)
            return fail(STATUS_USAGE, "drops must be at most %d epochs with commas between, like 80,120, not '%s'",
                        SCHEDULE_DROPS, text);
        schedule->drops[schedule->drop_count++] = epoch / epochs;
        c = end;
        if (!*c)
            return STATUS_OK;
    }
}

/* Changes to training images, as bits. */
enum { AUGMENT_SHIFT = 1, AUGMENT_FLIP = 2, AUGMENT_CROP = 4, AUGMENT_JITTER = 8, AUGMENT_RAND = 16 };

/* A word, or several with commas between, as bits. */
static enum status parse_augment(const char *text, unsigned *augment) {
    static const struct {
        const char *name;
        unsigned bits;
    } words[] = {{"none", 0},
                 {"both", AUGMENT_SHIFT | AUGMENT_FLIP},
                 {"auto", AUGMENT_SHIFT | AUGMENT_FLIP},
                 {"shift", AUGMENT_SHIFT},
                 {"flip", AUGMENT_FLIP},
                 {"crop", AUGMENT_CROP},
                 {"jitter", AUGMENT_JITTER},
                 {"rand", AUGMENT_RAND}};
    *augment = 0;
    for (const char *word = text;; word++) {
        size_t length = strcspn(word, ","), i = 0;
        while (i < COUNT(words) && (strlen(words[i].name) != length || strncmp(words[i].name, word, length) != 0))
            i++;
        if (i == COUNT(words) || (i < 3 && strlen(text) != length)) /* the first three stand alone */
            return fail(STATUS_USAGE,
                        "the augmentation must be auto, none, both, or some of shift, flip, crop, jitter and rand with "
                        "commas between, not '%s'",
                        text);
        *augment |= words[i].bits;
        word += length;
        if (!*word)
            return STATUS_OK;
    }
}

/* Shifts are made on the device, as are flips of images that nothing else changes. */
static enum status convert_augment(const struct rvk_train_options *options, struct trainer_options *out) {
    struct picture_augment_options *picture = &out->pictures.augment;
    unsigned augment;
    TRY(parse_augment(options->augment, &augment));
    out->pictures.augment_auto = strcmp(options->augment, "auto") == 0;
    out->pictures.augments = augment & (AUGMENT_CROP | AUGMENT_JITTER | AUGMENT_RAND);
    out->step.shift = augment & AUGMENT_SHIFT ? options->shift : 0;
    out->step.flip = (augment & AUGMENT_FLIP) && !out->pictures.augments;
    *picture = picture_augment_defaults;
    if (!(augment & AUGMENT_CROP))
        picture->area_low = picture->ratio_low = picture->ratio_high = 1;
    picture->flip = augment & AUGMENT_FLIP ? 0.5 : 0;
    if (augment & AUGMENT_JITTER)
        picture->brightness = picture->contrast = picture->saturation = 0.4, picture->hue = 0.1;
    if (augment & AUGMENT_RAND)
        picture->policy_count = 2;
    return STATUS_OK;
}

static enum status convert_pictures(const struct rvk_train_options *options, struct trainer_options *out) {
    static const char *const normalizations[] = {"auto", "channel", "pixel", "imagenet", "weights", NULL};
    int normalize;
    TRY(choose("the normalization", options->normalize, normalizations, &normalize));
    out->normalize = (enum trainer_normalize)normalize;
    out->pictures.size = options->size;
    out->pictures.cache = options->cache;
    out->pictures.threads = options->decode_threads;
    out->pictures.broken = options->broken;
    return convert_augment(options, out);
}

static enum status convert_step(const struct rvk_train_options *options, struct step_options *step) {
    static const char *const optimizers[] = {"sgd", "adam", "adamw", NULL};
    static const char *const decays[] = {"all", "weights", NULL};
    int optimizer, decay;
    TRY(choose("the optimizer", options->optimizer, optimizers, &optimizer));
    TRY(choose("what weight decay acts on", options->decay, decays, &decay));
    step_options_default(step);
    step->batch = options->batch;
    step->accumulate = options->accumulate;
    step->nearest = strcmp(options->style, "keras") == 0;
    step->mixture = (struct mixture){options->mixup, options->cutmix};
    step->smoothing = options->label_smoothing;
    step->optimizer = (enum optimizer)optimizer;
    step->momentum = options->momentum;
    step->nesterov = options->nesterov;
    step->weight_decay = options->weight_decay;
    step->decay = decay == 0 ? DECAY_ALL : DECAY_KERNELS;
    step->freeze_norm = options->freeze_norm;
    step->recompute = options->recompute;
    step->layer_decay = options->layer_decay;
    step->head_rate = options->head_rate;
    return STATUS_OK;
}

enum status train_options_convert(const struct rvk_train_options *options, struct trainer_options *out) {
    *out = (struct trainer_options){
        .schedule = {.rate = options->learning_rate, .factor = options->factor, .patience = options->patience},
        .warmup_epochs = options->warmup,
        .data = options->data,
        .train_limit = options->train_limit,
        .test_limit = options->test_limit,
        .validation_split = options->validation_split,
        .epochs = options->epochs,
        .eval_batch = options->eval_batch,
        .seed = options->seed,
        .early_stop = options->early_stop,
        .freeze_until = options->freeze_until,
        .out = options->out,
        .overwrite = options->overwrite,
        .save_every = options->save_every,
        .save_steps = options->save_steps,
        .stop_after = options->steps,
        .trace = options->trace,
        .plan = options->plan,
        .profile = options->profile,
    };
    TRY(check_numbers(options));
    TRY(api_model_options(options->model, options->style, 0, &out->model));
    TRY(schedule_find(options->schedule, &out->schedule.kind));
    TRY(convert_drops(options->drops, options->epochs, &out->schedule));
    TRY(convert_step(options, &out->step));
    return convert_pictures(options, out);
}
