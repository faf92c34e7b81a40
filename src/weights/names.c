/*
 * names: how others call the layers that torchvision's names stand for.
 *
 * A rule is a pair of patterns. '#' stands for a number and '*' for the rest of a name; on the right, the numbers of
 * the left come in their order, as they are for '#' and one larger for '+'. The first style whose sign is part of any
 * name is taken for all of them; a name that none of its rules fits stays as it is.
 */
#include "weights/internal.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 256, NUMBERS = 4, RULES = 8 };

struct rule {
    const char *from, *to;
    bool dense; /* a convolution over the whole image that stands for a dense layer: [o,i,h,w] -> [o,i*h*w] */
};

struct style {
    const char *sign;
    const char *prefix; /* in front of some of the names */
    struct rule rules[RULES];
};

static const struct style styles[] = {
    /* Hugging Face transformers: ResNetForImageClassification, ResNetModel */
    {.sign = "embedder.embedder.",
     .prefix = "resnet.",
     .rules = {{"embedder.embedder.convolution.*", "conv1.*", false},
               {"embedder.embedder.normalization.*", "bn1.*", false},
               {"encoder.stages.#.layers.#.layer.#.convolution.*", "layer+.#.conv+.*", false},
               {"encoder.stages.#.layers.#.layer.#.normalization.*", "layer+.#.bn+.*", false},
               {"encoder.stages.#.layers.#.shortcut.convolution.*", "layer+.#.downsample.0.*", false},
               {"encoder.stages.#.layers.#.shortcut.normalization.*", "layer+.#.downsample.1.*", false},
               {"classifier.1.*", "fc.*", false}}},
    /* timm: VGG, whose first dense layers are convolutions */
    {.sign = "pre_logits.fc1.",
     .rules = {{"pre_logits.fc1.*", "classifier.0.*", true},
               {"pre_logits.fc2.*", "classifier.3.*", true},
               {"head.fc.*", "classifier.6.*", false}}},
    /* heads of residual networks: timm, fastai and others */
    {.sign = "layer1.0.",
     .rules = {{"head.fc.*", "fc.*", false},
               {"classifier.1.*", "fc.*", false},
               {"classifier.*", "fc.*", false},
               {"last_linear.*", "fc.*", false}}},
};

/* Put in front of all names by what a network is wrapped in. */
static const char *const wrappers[] = {"module.", "model.", "_orig_mod."};

/* PyTorch counts batches in each normalization; the others are what our own checkpoints hold beside weights. */
static bool is_ignored(const char *name) {
    static const char *const starts[] = {"optimizer.", "normalize."}, *const end = ".num_batches_tracked";
    size_t length = strlen(name), tail = strlen(end);
    for (size_t i = 0; i < COUNT(starts); i++)
        if (strncmp(name, starts[i], strlen(starts[i])) == 0)
            return true;
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* ---- rules ---- */

struct parts {
    unsigned long numbers[NUMBERS];
    size_t count;
    const char *rest;
};

/* Reads a number of at most 9 digits. */
static bool take_number(const char **name, struct parts *parts) {
    size_t digits = strspn(*name, "0123456789");
    if (digits < 1 || digits > 9 || parts->count == NUMBERS)
        return false;
    parts->numbers[parts->count++] = strtoul(*name, NULL, 10);
    *name += digits;
    return true;
}

static bool fits(const char *pattern, const char *name, struct parts *parts) {
    parts->count = 0;
    for (; *pattern && *pattern != '*'; pattern++)
        if (*pattern == '#' ? !take_number(&name, parts) : *pattern != *name++)
            return false;
    parts->rest = name;
    return *pattern == '*' || *name == '\0';
}

static void fill(const char *pattern, const struct parts *parts, char out[NAME]) {
    size_t length = 0, number = 0;
    for (; *pattern && length + 1 < NAME; pattern++) {
        size_t room = NAME - length;
        int written = *pattern == '#'   ? snprintf(out + length, room, "%lu", parts->numbers[number++])
                      : *pattern == '+' ? snprintf(out + length, room, "%lu", parts->numbers[number++] + 1)
                      : *pattern == '*' ? snprintf(out + length, room, "%s", parts->rest)
                                        : snprintf(out + length, room, "%c", *pattern);
        length += (size_t)written;
    }
}

static void make_dense(struct safetensors_tensor *tensor) {
    if (tensor->rank != 4)
        return;
    tensor->shape[1] *= tensor->shape[2] * tensor->shape[3];
    tensor->rank = 2;
}

/* ---- all names ---- */

static const struct style *find_style(const struct weights *weights) {
    for (size_t s = 0; s < COUNT(styles); s++)
        for (size_t i = 0; i < weights->count; i++)
            if (strstr(weights->tensors[i].name, styles[s].sign))
                return &styles[s];
    return NULL;
}

static enum status rename_tensor(struct weights *weights, const struct style *style,
                                 struct safetensors_tensor *tensor) {
    size_t length = style->prefix ? strlen(style->prefix) : 0;
    const char *name = tensor->name + (length && strncmp(tensor->name, style->prefix, length) == 0 ? length : 0);
    struct parts parts;
    char text[NAME], *copy;
    for (const struct rule *rule = style->rules; rule < style->rules + RULES && rule->from; rule++) {
        if (strlen(name) >= NAME / 2 || !fits(rule->from, name, &parts))
            continue;
        fill(rule->to, &parts, text);
        TRY(memory_zeroed(strlen(text) + 1, 1, &copy));
        memcpy(copy, text, strlen(text));
        tensor->name = copy;
        if (rule->dense)
            make_dense(tensor);
        return weights_keep(weights, copy);
    }
    tensor->name = name;
    return STATUS_OK;
}

/* Whether all names start with this. */
static bool all_start(const struct weights *weights, const char *prefix) {
    for (size_t i = 0; i < weights->count; i++)
        if (strncmp(weights->tensors[i].name, prefix, strlen(prefix)) != 0)
            return false;
    return weights->count > 0;
}

static void unwrap(struct weights *weights) {
    for (size_t w = 0; w < COUNT(wrappers);)
        if (all_start(weights, wrappers[w])) {
            for (size_t i = 0; i < weights->count; i++)
                weights->tensors[i].name += strlen(wrappers[w]);
            w = 0;
        } else {
            w++;
        }
}

static int compare_names(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static enum status check_unique(const struct weights *weights) {
    const char **sorted, *twice = NULL;
    TRY(memory_zeroed(weights->count, sizeof *sorted, &sorted));
    for (size_t i = 0; i < weights->count; i++)
        sorted[i] = weights->tensors[i].name;
    if (weights->count)
        qsort(sorted, weights->count, sizeof *sorted, compare_names);
    for (size_t i = 1; i < weights->count && !twice; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            twice = sorted[i];
    free(sorted);
    return twice ? fail(STATUS_DATA, "%s: two tensors are the same one, %.95s", weights->path, twice) : STATUS_OK;
}

enum status names_translate(struct weights *weights) {
    size_t kept = 0;
    for (size_t i = 0; i < weights->count; i++)
        if (!is_ignored(weights->tensors[i].name)) {
            weights->tensors[kept] = weights->tensors[i];
            weights->origins[kept++] = weights->origins[i];
        }
    weights->count = kept;
    unwrap(weights);
    const struct style *style = find_style(weights);
    for (size_t i = 0; style && i < weights->count; i++)
        TRY(rename_tensor(weights, style, &weights->tensors[i]));
    return check_unique(weights);
}
