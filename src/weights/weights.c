#include "weights/torch_file.h"

#include "base/file.h"
#include "base/memory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum status weights_keep(struct weights *weights, void *block) {
    enum status status =
        memory_grow(&weights->blocks, &weights->block_capacity, weights->block_count + 1, sizeof *weights->blocks);
    if (status != STATUS_OK)
        free(block);
    else
        weights->blocks[weights->block_count++] = block;
    return status;
}

enum status weights_append(struct weights *weights, const struct safetensors_tensor *tensor) {
    size_t need = weights->count + 1, capacity = weights->capacity;
    TRY(memory_grow(&weights->tensors, &capacity, need, sizeof *weights->tensors));
    TRY(memory_grow(&weights->origins, &weights->capacity, need, sizeof *weights->origins));
    weights->tensors[weights->count] = *tensor;
    weights->origins[weights->count++] = tensor->name;
    return STATUS_OK;
}

const struct safetensors_tensor *weights_find(const struct weights *weights, const char *name) {
    for (size_t i = 0; i < weights->count; i++)
        if (strcmp(weights->tensors[i].name, name) == 0)
            return &weights->tensors[i];
    return NULL;
}

void weights_close(struct weights *weights) {
    for (size_t i = 0; i < weights->file_count; i++)
        safetensors_destroy(&weights->files[i]);
    for (size_t i = 0; i < weights->block_count; i++)
        free(weights->blocks[i]);
    free(weights->files);
    free(weights->blocks);
    free(weights->tensors);
    free(weights->origins);
    free(weights->path);
    memset(weights, 0, sizeof *weights);
}

/* ---- one file ---- */

enum kind { KIND_SAFETENSORS, KIND_INDEX, KIND_ZIP, KIND_LEGACY };

/*
 * By the first bytes. Those of a safetensors file are a length, whose last byte is zero; text has no zeros. What is
 * read twice cannot come from a pipe; a folder, and what does not exist, is refused by who reads it.
 */
static enum status sniff(const char *path, enum kind *kind) {
    uint8_t head[TORCH_LEGACY_START] = {0};
    struct stat about;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode))
        return fail(STATUS_DATA, "%s is a pipe or a device; weights are read from files only", path);
    FILE *file = file_open(path);
    size_t size = file ? fread(head, 1, sizeof head, file) : 0;
    if (file)
        fclose(file);
    if (size > 7 && head[0] == '{' && head[7] != 0)
        *kind = KIND_INDEX;
    else if (size > 4 && memcmp(head, "PK\3\4", 4) == 0)
        *kind = KIND_ZIP;
    else
        *kind = torch_is_legacy(head) ? KIND_LEGACY : KIND_SAFETENSORS;
    return STATUS_OK;
}

static enum status append_safetensors(struct weights *weights, const char *path) {
    size_t capacity = weights->file_count;
    TRY(memory_grow(&weights->files, &capacity, weights->file_count + 1, sizeof *weights->files));
    struct safetensors *file = &weights->files[weights->file_count];
    TRY(safetensors_read(path, file));
    weights->file_count++;
    for (size_t i = 0; i < file->count; i++)
        TRY(weights_append(weights, &file->tensors[i]));
    return STATUS_OK;
}

static enum status append_file(struct weights *weights, enum kind kind, const char *path) {
    switch (kind) {
    case KIND_ZIP:
        return torch_read_zip(weights, path);
    case KIND_LEGACY:
        return torch_read_legacy(weights, path);
    case KIND_INDEX:
    case KIND_SAFETENSORS:
        break;
    }
    return append_safetensors(weights, path);
}

/* ---- an index with its shards ---- */

enum { INDEX_LIMIT = 16 << 20 };

/* Nothing outside the folder of the index is opened because of what the index says. */
static bool is_plain(const char *name) {
    return *name && !strpbrk(name, "/\\") && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Reads the shard; its tensors are taken out of the map. */
static enum status append_shard(struct weights *weights, const char *shard, json_t *map) {
    const char *slash = strrchr(weights->path, '/');
    size_t first = weights->count, folder = slash ? (size_t)(slash - weights->path) + 1 : 0;
    size_t length = folder + strlen(shard) + 1;
    char *path;
    TRY(memory_zeroed(length, 1, &path));
    snprintf(path, length, "%.*s%s", (int)folder, weights->path, shard);
    enum kind kind;
    enum status status = sniff(path, &kind);
    if (status == STATUS_OK)
        status = kind == KIND_INDEX ? fail(STATUS_DATA, "%s: the shard %.95s is an index itself", weights->path, shard)
                                    : append_file(weights, kind, path);
    free(path);
    TRY(status);
    for (size_t i = first; i < weights->count; i++) {
        const char *place = json_string_value(json_object_get(map, weights->tensors[i].name));
        if (!place || strcmp(place, shard) != 0)
            return fail(STATUS_DATA, "%s: tensor %.95s is in %.95s, but not by the index", weights->path,
                        weights->tensors[i].name, shard);
        json_object_del(map, weights->tensors[i].name);
    }
    return STATUS_OK;
}

/* The shards that the map names, as the keys of a set. */
static enum status list_shards(const struct weights *weights, json_t *map, json_t *shards) {
    const char *name;
    json_t *value;
    if (json_object_size(map) == 0)
        return fail(STATUS_DATA, "%s is JSON, but no index: it has no weight_map with the shard of each tensor",
                    weights->path);
    json_object_foreach(map, name, value) {
        const char *shard = json_string_value(value);
        if (!shard || !is_plain(shard))
            return fail(STATUS_DATA, "%s: the shard of %.95s is no file of the same folder: %.95s", weights->path, name,
                        shard ? shard : "not a name");
        if (json_object_set_new(shards, shard, json_true()) != 0)
            return fail(STATUS_MEMORY, "out of host memory for the shards of %s", weights->path);
    }
    return STATUS_OK;
}

static enum status append_shards(struct weights *weights, json_t *map, json_t *shards) {
    const char *shard;
    json_t *value;
    TRY(list_shards(weights, map, shards));
    json_object_foreach(shards, shard, value) TRY(append_shard(weights, shard, map));
    if (json_object_size(map))
        return fail(STATUS_DATA, "%s: tensor %.95s is not in its shard", weights->path,
                    json_object_iter_key(json_object_iter(map)));
    return STATUS_OK;
}

static enum status append_index(struct weights *weights, const char *path) {
    uint8_t *bytes;
    size_t size;
    json_error_t error;
    TRY(file_read(path, INDEX_LIMIT, &bytes, &size));
    json_t *root = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &error), *shards = json_object();
    enum status status = root ? append_shards(weights, json_object_get(root, "weight_map"), shards)
                              : fail(STATUS_DATA, "%s is no index: line %d: %.95s", path, error.line, error.text);
    json_decref(shards);
    json_decref(root);
    free(bytes);
    return status;
}

/* ---- all kinds ---- */

static enum status read_all(struct weights *weights, const char *path) {
    TRY(memory_zeroed(strlen(path) + 1, 1, &weights->path));
    memcpy(weights->path, path, strlen(path));
    enum kind kind;
    TRY(sniff(path, &kind));
    TRY(kind == KIND_INDEX ? append_index(weights, path) : append_file(weights, kind, path));
    return names_translate(weights);
}

enum status weights_open(const char *path, struct weights *out) {
    memset(out, 0, sizeof *out);
    enum status status = read_all(out, path);
    if (status != STATUS_OK)
        weights_close(out);
    return status;
}
