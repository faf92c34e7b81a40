#include "weights/torch_file.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN "%.95s"

static const struct pickle_node *node_at(const struct torch_file *file, uint32_t index) {
    return &file->pickle.nodes[index];
}

/* ---- storages ---- */

static int compare_keys(const void *left, const void *right) {
    return strcmp(((const struct storage *)left)->key, ((const struct storage *)right)->key);
}

void torch_sort_storages(struct torch_file *file) {
    if (file->count)
        qsort(file->storages, file->count, sizeof *file->storages, compare_keys);
}

struct storage *torch_find_storage(const struct torch_file *file, const char *key) {
    const struct storage wanted = {.key = key};
    return file->count ? bsearch(&wanted, file->storages, file->count, sizeof wanted, compare_keys) : NULL;
}

/* The storage of a tensor, read. */
static enum status find_storage(struct torch_file *file, const char *name, const struct pickle_node *node,
                                struct storage **out) {
    const char *key = node_at(file, node->storage.key)->text;
    struct storage *found = torch_find_storage(file, key);
    uint64_t width = safetensors_dtype_size(node->dtype);
    if (!found || (!found->bytes && !file->load))
        return fail(STATUS_DATA, "%s: the numbers of tensor " SHOWN " are missing (storage " SHOWN ")", file->path,
                    name, key);
    if (found->size / width != (uint64_t)node->storage.count || found->size % width)
        return fail(STATUS_DATA, "%s: the storage of tensor " SHOWN " has %llu bytes, not %lld numbers of %llu",
                    file->path, name, (unsigned long long)found->size, (long long)node->storage.count,
                    (unsigned long long)width);
    if (!found->bytes)
        TRY(file->load(file, found));
    *out = found;
    return STATUS_OK;
}

/* ---- tensors ---- */

/* A tensor as a part of its storage: sizes, and steps between neighbours, in numbers. */
struct view {
    uint32_t rank;
    uint64_t shape[SAFETENSORS_RANK], strides[SAFETENSORS_RANK], offset, count;
};

static enum status refuse(const struct torch_file *file, const char *name, const char *what) {
    return fail(STATUS_DATA, "%s: tensor " SHOWN " %s", file->path, name, what);
}

/* Shape and strides, with the number of values, which are no more than the storage has. */
static enum status read_view(const struct torch_file *file, const char *name, const struct pickle_node *tensor,
                             uint64_t stored, struct view *view) {
    const struct pickle_node *shape = node_at(file, tensor->tensor.shape);
    const struct pickle_node *strides = node_at(file, tensor->tensor.strides);
    if (shape->list.count > SAFETENSORS_RANK || strides->list.count != shape->list.count)
        return refuse(file, name, "has more than 8 dimensions, or not as many strides");
    *view = (struct view){.rank = (uint32_t)shape->list.count, .count = 1};
    bool empty = false;
    for (uint32_t i = 0; i < view->rank; i++) {
        int64_t extent, stride;
        if (!pickle_number(&file->pickle, shape, i, &extent) || extent < 0 ||
            !pickle_number(&file->pickle, strides, i, &stride) || stride < 0)
            return refuse(file, name, "has a shape or stride that is no whole number from 0");
        view->shape[i] = (uint64_t)extent;
        view->strides[i] = (uint64_t)stride;
        empty |= extent == 0;
        if (extent > 0 && view->count > stored / (uint64_t)extent && !empty)
            return refuse(file, name, "has more values than are stored");
        view->count *= extent > 0 ? (uint64_t)extent : 1;
    }
    view->count = empty ? 0 : view->count;
    return STATUS_OK;
}

/* Every value lies within the storage. */
static enum status check_view(const struct torch_file *file, const char *name, int64_t offset, uint64_t stored,
                              struct view *view) {
    uint64_t last = (uint64_t)offset;
    if (offset < 0 || last > stored)
        return refuse(file, name, "starts outside of what is stored");
    view->offset = last;
    for (uint32_t i = 0; i < view->rank && view->count; i++) {
        uint64_t steps = view->shape[i] - 1;
        if (steps && view->strides[i] > (stored - last) / steps)
            return refuse(file, name, "ends outside of what is stored");
        last += steps * view->strides[i];
    }
    return view->count && last >= stored ? refuse(file, name, "ends outside of what is stored") : STATUS_OK;
}

static bool is_dense(const struct view *view) {
    uint64_t step = 1;
    for (uint32_t i = view->rank; i--;) {
        if (view->shape[i] > 1 && view->strides[i] != step)
            return false;
        step *= view->shape[i];
    }
    return true;
}

static void copy_view(const struct view *view, size_t width, const uint8_t *stored, uint8_t *dense) {
    uint64_t at[SAFETENSORS_RANK] = {0}, place = view->offset;
    for (uint64_t i = 0; i < view->count; i++) {
        memcpy(dense + i * width, stored + place * width, width);
        for (uint32_t axis = view->rank; axis--;) { /* the next index, as on a mileage counter */
            place += view->strides[axis];
            if (++at[axis] < view->shape[axis])
                break;
            place -= view->shape[axis] * view->strides[axis];
            at[axis] = 0;
        }
    }
}

/* The values row by row: where they are stored, or as a copy of at most all bytes of the file in all. */
static enum status place_values(struct torch_file *file, const char *name, const struct view *view,
                                const struct storage *storage, struct safetensors_tensor *out) {
    size_t width = (size_t)safetensors_dtype_size(out->dtype);
    uint8_t *copy;
    out->size = view->count * width;
    out->bytes = storage->bytes + view->offset * width;
    if (view->count == 0 || is_dense(view))
        return STATUS_OK;
    file->copied += out->size;
    if (file->copied > file->file_bytes)
        return refuse(file, name, "and others before it share too much of their storages");
    TRY(memory_zeroed((size_t)view->count, width, &copy));
    copy_view(view, width, storage->bytes, copy);
    out->bytes = copy;
    return weights_keep(file->weights, copy);
}

static enum status append_tensor(struct torch_file *file, const char *name, const struct pickle_node *tensor) {
    const struct pickle_node *stored = node_at(file, tensor->tensor.storage);
    struct safetensors_tensor out = {.dtype = tensor->dtype};
    struct storage *storage = NULL;
    struct view view = {0};
    char *copy;
    for (const char *c = name; *c; c++)
        if (*c < ' ' || *c > '~')
            return refuse(file, name, "has a name that is not ASCII");
    TRY(find_storage(file, name, stored, &storage));
    TRY(read_view(file, name, tensor, (uint64_t)stored->storage.count, &view));
    TRY(check_view(file, name, tensor->tensor.offset, (uint64_t)stored->storage.count, &view));
    TRY(place_values(file, name, &view, storage, &out));
    out.rank = view.rank;
    memcpy(out.shape, view.shape, sizeof out.shape);
    TRY(memory_zeroed(strlen(name) + 1, 1, &copy));
    memcpy(copy, name, strlen(name));
    out.name = copy;
    TRY(weights_keep(file->weights, copy));
    return weights_append(file->weights, &out);
}

/* ---- the state dict ---- */

/* The dictionary itself, or the one that training scripts put beside the optimizer's. */
static const struct pickle_node *find_state(const struct torch_file *file) {
    static const char *const keys[] = {"state_dict", "model", "model_state_dict"};
    const struct pickle_node *top = node_at(file, file->pickle.top), *inner;
    for (size_t i = 0; i < COUNT(keys); i++)
        if ((inner = pickle_find(&file->pickle, top, keys[i])) && inner->kind == PICKLE_DICT)
            return inner;
    return top->kind == PICKLE_DICT ? top : NULL;
}

enum status torch_append(struct torch_file *file) {
    const struct pickle_node *state = find_state(file);
    if (!state)
        return fail(STATUS_DATA, "%s holds no dictionary of tensors", file->path);
    for (size_t i = 0; i + 1 < state->list.count; i += 2) {
        const struct pickle_node *name = node_at(file, state->list.items[i]);
        const struct pickle_node *value = node_at(file, state->list.items[i + 1]);
        if (name->kind != PICKLE_TEXT)
            return fail(STATUS_DATA, "%s: a tensor's name is no text", file->path);
        if (value->kind != PICKLE_TENSOR)
            return fail(STATUS_DATA, "%s: " SHOWN " is no tensor, so this is no state dict", file->path, name->text);
        TRY(append_tensor(file, name->text, value));
    }
    return STATUS_OK;
}
