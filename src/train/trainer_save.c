/* trainer: its checkpoints. The caller's options and the trainer's position travel as one JSON text. */
#include "train/trainer_internal.h"

#include "base/file.h"
#include "base/text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *pack_best(const struct trainer_epoch *best) {
    return json_pack("{s:I, s:I, s:f, s:f, s:f, s:b, s:f, s:f}", "epoch", (json_int_t)best->epoch, "step",
                     (json_int_t)best->step, "learning_rate", best->learning_rate, "train_loss", best->train_loss,
                     "train_accuracy", best->train_accuracy, "validated", best->validated, "validation_loss",
                     best->validation_loss, "validation_accuracy", best->validation_accuracy);
}

/* NULL when the classes have no names. */
static json_t *pack_names(const struct dataset *data) {
    json_t *names = data->class_names ? json_array() : NULL;
    for (uint32_t k = 0; names && k < data->classes; k++) {
        char *name = text_valid(data->class_names[k]);
        json_array_append_new(names, name ? json_string(name) : json_null());
        free(name);
    }
    return names;
}

/* The JSON text, free with free(); NULL when memory is short. */
static char *pack(const struct trainer *trainer) {
    const struct position *at = &trainer->at;
    const struct plateau *plateau = &at->plateau;
    json_t *record = trainer->options->record ? json_loads(trainer->options->record, 0, NULL) : json_object();
    json_t *state = json_pack("{s:f, s:f, s:{s:f, s:I, s:I, s:I}, s:o, s:I}", "loss_sum", at->loss_sum, "right_sum",
                              at->right_sum, "plateau", "best", plateau->best, "epochs", (json_int_t)plateau->epochs,
                              "stale", (json_int_t)plateau->stale, "reductions", (json_int_t)plateau->reductions,
                              "best", pack_best(&at->best), "stale", (json_int_t)at->stale);
    json_t *all =
        json_pack("{s:o, s:o, s:o*}", "options", record, "position", state, "classes", pack_names(&trainer->training));
    char *text = all ? json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(all);
    return text;
}

enum status trainer_keep(struct trainer *trainer) {
    struct kept *kept = &trainer->kept;
    uint8_t *bytes = NULL;
    char *text = pack(trainer);
    if (!text)
        return fail(STATUS_MEMORY, "out of memory for the checkpoint's options");
    struct checkpoint_state state = {
        .epoch = trainer->at.epoch,
        .step = trainer->at.step,
        .updates = (uint64_t)trainer->at.epoch * trainer->steps + trainer->at.step,
        .seed = trainer->options->seed,
        .optimizer = trainer->options->step.optimizer,
        .options = text,
    };
    enum normalization normalization = trainer->mean_per_pixel ? NORMALIZATION_PIXEL : NORMALIZATION_CHANNEL;
    size_t size = 0;
    enum status status = checkpoint_pack(&trainer->model, trainer->store, &state, normalization, &bytes, &size);
    free(text);
    TRY(status);
    free(kept->bytes);
    *kept = (struct kept){bytes, size, trainer->call_steps, checkpoint_weights_hash(&trainer->model, bytes)};
    return STATUS_OK;
}

enum status trainer_write(const struct trainer *trainer, const char *name) {
    if (!trainer->options->out)
        return STATUS_OK;
    char path[640];
    snprintf(path, sizeof path, "%s/%s.safetensors", trainer->options->out, name);
    const struct file_piece whole = {trainer->kept.bytes, trainer->kept.size};
    return file_write_atomic(path, &whole, 1);
}

static bool unpack_best(json_t *object, struct trainer_epoch *best) {
    json_int_t epoch, step;
    int validated;
    if (json_unpack(object, "{s:I, s:I, s:F, s:F, s:F, s:b, s:F, s:F}", "epoch", &epoch, "step", &step, "learning_rate",
                    &best->learning_rate, "train_loss", &best->train_loss, "train_accuracy", &best->train_accuracy,
                    "validated", &validated, "validation_loss", &best->validation_loss, "validation_accuracy",
                    &best->validation_accuracy) != 0)
        return false;
    best->epoch = (uint32_t)epoch;
    best->step = (uint64_t)step;
    best->validated = validated;
    return true;
}

static bool unpack(json_t *all, struct position *at) {
    json_int_t epochs, plateau_stale, reductions, stale;
    json_t *best;
    if (json_unpack(all, "{s:{s:F, s:F, s:{s:F, s:I, s:I, s:I}, s:o, s:I}}", "position", "loss_sum", &at->loss_sum,
                    "right_sum", &at->right_sum, "plateau", "best", &at->plateau.best, "epochs", &epochs, "stale",
                    &plateau_stale, "reductions", &reductions, "best", &best, "stale", &stale) != 0)
        return false;
    at->plateau.epochs = (uint32_t)epochs;
    at->plateau.stale = (uint32_t)plateau_stale;
    at->plateau.reductions = (uint32_t)reductions;
    at->stale = (uint32_t)stale;
    return unpack_best(best, &at->best);
}

enum status trainer_restore(struct trainer *trainer, const struct checkpoint *checkpoint) {
    json_t *all = checkpoint->state.options ? json_loads(checkpoint->state.options, 0, NULL) : NULL;
    bool known = all && unpack(all, &trainer->at);
    json_decref(all);
    if (!checkpoint->has_state || !known)
        return fail(STATUS_DATA, "%s has no state of a training run, so it cannot be resumed", checkpoint->file.path);
    trainer->at.epoch = checkpoint->state.epoch;
    trainer->at.step = checkpoint->state.step;
    return checkpoint_load(checkpoint, &trainer->model, trainer->store, CHECKPOINT_ALL);
}

enum status trainer_return(struct trainer *trainer) {
    struct checkpoint checkpoint;
    TRY(checkpoint_parse("the state in memory", trainer->kept.bytes, trainer->kept.size, &checkpoint));
    enum status status = trainer_restore(trainer, &checkpoint);
    checkpoint_close(&checkpoint);
    trainer->call_steps = trainer->kept.call_steps;
    return status;
}

enum status trainer_record(const struct checkpoint *checkpoint, char **record) {
    json_t *all = checkpoint->state.options ? json_loads(checkpoint->state.options, 0, NULL) : NULL;
    json_t *options = json_object_get(all, "options");
    *record = options ? json_dumps(options, JSON_COMPACT) : NULL;
    json_decref(all);
    if (!*record)
        return fail(STATUS_DATA, "%s holds no options of a training run", checkpoint->file.path);
    return STATUS_OK;
}

enum status trainer_class_names(const struct checkpoint *checkpoint, char **names) {
    json_t *all = checkpoint->state.options ? json_loads(checkpoint->state.options, 0, NULL) : NULL;
    json_t *list = json_object_get(all, "classes");
    *names = list ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(all);
    return list && !*names ? fail(STATUS_MEMORY, "out of memory for the names of classes") : STATUS_OK;
}
