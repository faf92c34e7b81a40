#include "model/description.h"

#include "base/file.h"
#include "base/memory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 65536, BLOCKS_LIMIT = 256, FILTERS_LIMIT = 4096, GROUPS_LIMIT = 1024, SQUEEZE_LIMIT = 256 };

enum kind { BASIC = 1, BOTTLENECK = 2, PLAIN = 4, PREACTIVATION = 8, VGG = 16, ALL = 31 };

static const struct {
    const char *name;
    enum kind kind;
    struct model_family family;
} kinds[] = {
    {"basic", BASIC, {.forward = residual_forward, .block = residual_basic, .shortcut = SHORTCUT_PROJECTION_NORM}},
    {"bottleneck",
     BOTTLENECK,
     {.forward = residual_forward, .block = residual_bottleneck, .shortcut = SHORTCUT_PROJECTION_NORM}},
    {"plain", PLAIN, {.forward = residual_forward, .block = residual_basic, .shortcut = SHORTCUT_NONE}},
    {"preactivation", PREACTIVATION, {.forward = residual_forward_v2, .shortcut = SHORTCUT_PROJECTION}},
    {"vgg", VGG, {.forward = vgg_forward, .norm = true, .dense_deviation = 0.01}},
};

/* ---- values ---- */

/* Index of the text in the list, which ends with NULL. */
static enum status read_choice(const char *key, const json_t *value, const char *const words[], int *index) {
    const char *text = json_string_value(value);
    char list[128] = "";
    for (*index = 0; words[*index]; ++*index) {
        if (text && strcmp(text, words[*index]) == 0)
            return STATUS_OK;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *index ? ", " : "", words[*index]);
    }
    return text ? fail(STATUS_DATA, "%s must be one of %s, not \"%.40s\"", key, list, text)
                : fail(STATUS_DATA, "%s must be one of %s", key, list);
}

static enum status read_whole(const char *key, const json_t *value, uint32_t most, uint32_t *out) {
    if (!json_is_integer(value))
        return fail(STATUS_DATA, "%s must be a whole number from 1 to %u", key, most);
    if (json_integer_value(value) < 1 || json_integer_value(value) > most)
        return fail(STATUS_DATA, "%s must be a whole number from 1 to %u, not %lld", key, most,
                    (long long)json_integer_value(value));
    *out = (uint32_t)json_integer_value(value);
    return STATUS_OK;
}

static enum status read_flag(const char *key, const json_t *value, bool *out) {
    *out = json_is_true(value);
    return json_is_boolean(value) ? STATUS_OK : fail(STATUS_DATA, "%s must be true or false", key);
}

/* ---- keys ---- */

static enum status read_name(const json_t *value, struct description *out) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *text = json_string_value(value);
    if (!text || !*text || strlen(text) >= sizeof out->name || strspn(text, allowed) != strlen(text))
        return fail(STATUS_DATA, "name must be a text of 1 to %zu letters, digits, dots, dashes and underscores",
                    sizeof out->name - 1);
    snprintf(out->name, sizeof out->name, "%s", text);
    return STATUS_OK;
}

static enum status read_blocks(const json_t *value, struct description *out) {
    size_t stages = json_array_size(value);
    if (stages < 1 || stages > MODEL_STAGES)
        return fail(STATUS_DATA, "blocks must be a list of 1 to %d numbers, one a stage", MODEL_STAGES);
    for (size_t i = 0; i < stages; i++)
        TRY(read_whole("each of the blocks", json_array_get(value, i), BLOCKS_LIMIT, &out->blocks[i]));
    return STATUS_OK;
}

static enum status read_stem(const json_t *value, struct description *out) {
    static const char *const words[] = {"small", "large", NULL};
    int index;
    TRY(read_choice("stem", value, words, &index));
    out->family.large = index == 1;
    return STATUS_OK;
}

static enum status read_shortcut(const json_t *value, struct description *out) {
    static const char *const words[] = {"projection", "projection_norm", "pad", NULL};
    static const enum shortcut shortcuts[] = {SHORTCUT_PROJECTION, SHORTCUT_PROJECTION_NORM, SHORTCUT_PAD};
    int index;
    TRY(read_choice("shortcut", value, words, &index));
    out->family.shortcut = shortcuts[index];
    return STATUS_OK;
}

static enum status read_filters(const json_t *value, struct description *out) {
    return read_whole("filters", value, FILTERS_LIMIT, &out->family.filters);
}

static enum status read_groups(const json_t *value, struct description *out) {
    return read_whole("groups", value, GROUPS_LIMIT, &out->family.groups);
}

static enum status read_group_width(const json_t *value, struct description *out) {
    return read_whole("group_width", value, GROUPS_LIMIT, &out->family.group_width);
}

static enum status read_squeeze(const json_t *value, struct description *out) {
    return read_whole("squeeze", value, SQUEEZE_LIMIT, &out->family.squeeze);
}

static enum status read_stride_first(const json_t *value, struct description *out) {
    return read_flag("stride_first", value, &out->family.stride_first);
}

static enum status read_norm(const json_t *value, struct description *out) {
    return read_flag("norm", value, &out->family.norm);
}

static const struct key {
    const char *name;
    unsigned kinds; /* that have it */
    enum status (*read)(const json_t *value, struct description *out);
} keys[] = {
    {"kind", ALL, NULL}, /* read first */
    {"name", ALL, read_name},
    {"blocks", ALL, read_blocks},
    {"filters", ALL, read_filters},
    {"stem", ALL, read_stem},
    {"shortcut", BASIC | BOTTLENECK | PREACTIVATION, read_shortcut},
    {"squeeze", BASIC | BOTTLENECK | PLAIN, read_squeeze},
    {"groups", BOTTLENECK, read_groups},
    {"group_width", BOTTLENECK, read_group_width},
    {"stride_first", BOTTLENECK, read_stride_first},
    {"norm", VGG, read_norm},
};

static enum status refuse_key(const char *name, unsigned kind) {
    char list[160] = "";
    for (size_t i = 0; i < COUNT(keys); i++)
        if (keys[i].kinds & kind)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? ", " : "", keys[i].name);
    return fail(STATUS_DATA, "there is no key \"%.40s\" for this kind; there are %s", name, list);
}

static enum status read_kind(const json_t *object, struct description *out, unsigned *kind) {
    const char *words[COUNT(kinds) + 1] = {NULL};
    int index;
    for (size_t i = 0; i < COUNT(kinds); i++)
        words[i] = kinds[i].name;
    TRY(read_choice("kind", json_object_get(object, "kind"), words, &index));
    *kind = kinds[index].kind;
    out->family = kinds[index].family;
    out->family.large = true;
    return STATUS_OK;
}

/* ---- the whole ---- */

static enum status complete(struct description *out, unsigned kind) {
    struct model_family *family = &out->family;
    if (out->blocks[0] == 0)
        return fail(STATUS_DATA, "the key blocks is missing");
    if ((family->groups == 0) != (family->group_width == 0))
        return fail(STATUS_DATA, "groups and group_width go together: the filters of each group in a stage of 64");
    if (kind == VGG && !family->large)
        family->forward = vgg_forward_small;
    if (kind == VGG && family->large && out->blocks[MODEL_STAGES - 1] == 0)
        return fail(STATUS_DATA, "a vgg with a large stem has %d stages: blocks must have as many numbers",
                    MODEL_STAGES);
    family->filters = family->filters ? family->filters : family->large || kind == VGG ? 64 : 16;
    return STATUS_OK;
}

static enum status read_object(const json_t *object, struct description *out) {
    unsigned kind;
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return fail(STATUS_DATA, "a description is an object: {\"kind\": ..., \"blocks\": [...]}");
    snprintf(out->name, sizeof out->name, "custom");
    TRY(read_kind(object, out, &kind));
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        const struct key *key = keys;
        while (key < keys + COUNT(keys) && !((key->kinds & kind) && strcmp(key->name, name) == 0))
            key++;
        if (key == keys + COUNT(keys))
            return refuse_key(name, kind);
        if (key->read)
            TRY(key->read(value, out));
    }
    return complete(out, kind);
}

static enum status read_text(const char *text, size_t size, struct description *out) {
    json_error_t error;
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!object)
        return fail(STATUS_DATA, "no JSON: %s in line %d", error.text, error.line);
    enum status status = read_object(object, out);
    if (status == STATUS_OK && !(out->text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS)))
        status = fail(STATUS_MEMORY, "out of memory for a model's description");
    json_decref(object);
    return status;
}

static bool ends(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

bool description_is(const char *name) {
    return *name == '{' || ends(name, ".json");
}

enum status description_read(const char *name, struct description *out) {
    uint8_t *bytes = NULL;
    size_t size;
    *out = (struct description){.text = NULL};
    if (*name == '{') {
        enum status status = read_text(name, strlen(name), out);
        return status == STATUS_OK ? status : fail_prefix(status, "the model's description");
    }
    TRY(file_read(name, TEXT_LIMIT, &bytes, &size));
    enum status status = read_text((const char *)bytes, size, out);
    free(bytes);
    return status == STATUS_OK ? status : fail_prefix(status, "%s", name);
}
