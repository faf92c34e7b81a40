#include "weights/pickle.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN "%.63s"

/* On the stack: not a node but the place that a following instruction goes back to. In the memo: nothing. */
static const uint32_t mark = UINT32_MAX;

static enum status refuse(const struct pickle *pickle, const char *what) {
    return fail(STATUS_DATA, "the pickle is damaged at byte %zu: %s", pickle->at, what);
}

/* ---- bytes ---- */

static enum status take(struct pickle *pickle, size_t size, const uint8_t **bytes) {
    *bytes = pickle->bytes + pickle->at;
    if (size > pickle->end - pickle->at)
        return refuse(pickle, "it ends too soon");
    pickle->at += size;
    return STATUS_OK;
}

/* A little-endian number of `size` <= 8 bytes. */
static enum status take_number(struct pickle *pickle, int size, uint64_t *out) {
    const uint8_t *bytes;
    TRY(take(pickle, (size_t)size, &bytes));
    *out = 0;
    for (int i = 0; i < size; i++)
        *out |= (uint64_t)bytes[i] << 8 * i;
    return STATUS_OK;
}

/* ---- nodes and the stack ---- */

static struct pickle_node *node_at(const struct pickle *pickle, uint32_t index) {
    return &pickle->nodes[index];
}

static enum status push(struct pickle *pickle, uint32_t index) {
    TRY(memory_grow(&pickle->stack, &pickle->stack_capacity, pickle->stack_count + 1, sizeof *pickle->stack));
    pickle->stack[pickle->stack_count++] = index;
    return STATUS_OK;
}

static enum status push_node(struct pickle *pickle, const struct pickle_node *node) {
    TRY(memory_grow(&pickle->nodes, &pickle->capacity, pickle->count + 1, sizeof *pickle->nodes));
    pickle->nodes[pickle->count] = *node;
    return push(pickle, (uint32_t)pickle->count++);
}

static enum status pop(struct pickle *pickle, uint32_t *index) {
    *index = pickle->stack_count ? pickle->stack[pickle->stack_count - 1] : mark;
    if (*index == mark)
        return refuse(pickle, "there is nothing on the stack");
    pickle->stack_count--;
    return STATUS_OK;
}

/* The place of the last mark on the stack. */
static enum status find_mark(const struct pickle *pickle, size_t *place) {
    for (*place = pickle->stack_count; *place > 0; --*place)
        if (pickle->stack[*place - 1] == mark) {
            --*place;
            return STATUS_OK;
        }
    return refuse(pickle, "there is no mark on the stack");
}

static enum status append(struct pickle *pickle, uint32_t list, const uint32_t *items, size_t count) {
    struct pickle_node *node = node_at(pickle, list);
    if (count)
        TRY(memory_grow(&node->list.items, &node->list.capacity, node->list.count + count, sizeof *items));
    for (size_t i = 0; i < count; i++)
        node->list.items[node->list.count++] = items[i];
    return STATUS_OK;
}

/* ---- instructions: plain values ---- */

static enum status make_empty(struct pickle *pickle, int kind) {
    return push_node(pickle, &(struct pickle_node){.kind = (enum pickle_kind)kind});
}

static enum status make_bool(struct pickle *pickle, int value) {
    return push_node(pickle, &(struct pickle_node){.kind = PICKLE_WHOLE, .whole = value});
}

/* An unsigned number of `size` bytes, or a signed one of -`size`. */
static enum status make_whole(struct pickle *pickle, int size) {
    uint64_t bits;
    int width = size < 0 ? -size : size;
    TRY(take_number(pickle, width, &bits));
    if (size < 0 && width < 8 && bits >> (8 * width - 1))
        bits |= UINT64_MAX << 8 * width;
    return push_node(pickle, &(struct pickle_node){.kind = PICKLE_WHOLE, .whole = (int64_t)bits});
}

/* A signed number whose length comes first. */
static enum status make_long(struct pickle *pickle, int length_bytes) {
    uint64_t length;
    TRY(take_number(pickle, length_bytes, &length));
    if (length > 8)
        return refuse(pickle, "a number of more than 64 bits");
    return length ? make_whole(pickle, -(int)length) : make_bool(pickle, 0);
}

static enum status make_real(struct pickle *pickle, int unused) {
    const uint8_t *bytes;
    struct pickle_node node = {.kind = PICKLE_REAL};
    uint64_t bits = 0;
    (void)unused;
    TRY(take(pickle, sizeof bits, &bytes));
    for (size_t i = 0; i < sizeof bits; i++)
        bits = bits << 8 | bytes[i];
    memcpy(&node.real, &bits, sizeof bits);
    return push_node(pickle, &node);
}

static enum status push_text(struct pickle *pickle, const uint8_t *bytes, size_t length) {
    struct pickle_node node = {.kind = PICKLE_TEXT};
    if (memchr(bytes, 0, length))
        return refuse(pickle, "a text with a zero byte");
    TRY(memory_zeroed(length + 1, 1, &node.text));
    memcpy(node.text, bytes, length);
    enum status status = push_node(pickle, &node);
    if (status != STATUS_OK)
        free(node.text);
    return status;
}

static enum status make_text(struct pickle *pickle, int length_bytes) {
    uint64_t length;
    const uint8_t *bytes;
    TRY(take_number(pickle, length_bytes, &length));
    if (length > PICKLE_LIMIT)
        return refuse(pickle, "a text that is too long");
    TRY(take(pickle, (size_t)length, &bytes));
    return push_text(pickle, bytes, (size_t)length);
}

/* ---- instructions: containers ---- */

static enum status put_mark(struct pickle *pickle, int unused) {
    (void)unused;
    return push(pickle, mark);
}

/* The items after the last mark become one node. */
static enum status gather(struct pickle *pickle, int kind) {
    size_t first, made = pickle->count;
    TRY(find_mark(pickle, &first));
    size_t count = pickle->stack_count - first - 1;
    if (kind == PICKLE_DICT && count % 2)
        return refuse(pickle, "a key without a value");
    TRY(make_empty(pickle, kind));
    TRY(append(pickle, (uint32_t)made, pickle->stack + first + 1, count));
    pickle->stack_count = first;
    return push(pickle, (uint32_t)made);
}

/* The last `count` items become a tuple. */
static enum status gather_few(struct pickle *pickle, int count) {
    uint32_t items[3], made = (uint32_t)pickle->count;
    for (int i = count; i--;)
        TRY(pop(pickle, &items[i]));
    TRY(make_empty(pickle, PICKLE_TUPLE));
    return append(pickle, made, items, (size_t)count);
}

static enum status extend(struct pickle *pickle, size_t first, const uint32_t *items, size_t count, int kind) {
    uint32_t list = first > 0 ? pickle->stack[first - 1] : mark;
    if (list == mark || node_at(pickle, list)->kind != (enum pickle_kind)kind || (kind == PICKLE_DICT && count % 2))
        return refuse(pickle, "items that belong to no list or dictionary");
    TRY(append(pickle, list, items, count));
    pickle->stack_count = first;
    return STATUS_OK;
}

/* The items after the last mark go into the container before it. */
static enum status extend_many(struct pickle *pickle, int kind) {
    size_t first;
    TRY(find_mark(pickle, &first));
    return extend(pickle, first, pickle->stack + first + 1, pickle->stack_count - first - 1, kind);
}

static enum status extend_one(struct pickle *pickle, int kind) {
    uint32_t items[2];
    size_t count = kind == PICKLE_DICT ? 2 : 1;
    for (size_t i = count; i--;)
        TRY(pop(pickle, &items[i]));
    return extend(pickle, pickle->stack_count, items, count, kind);
}

/* ---- instructions: the memo ---- */

static enum status remember(struct pickle *pickle, uint64_t place) {
    uint32_t top;
    if (place > pickle->end)
        return refuse(pickle, "a place in the memo that is too high");
    TRY(pop(pickle, &top));
    TRY(push(pickle, top));
    TRY(memory_grow(&pickle->memo, &pickle->memo_capacity, (size_t)place + 1, sizeof *pickle->memo));
    while (pickle->memo_count <= place)
        pickle->memo[pickle->memo_count++] = mark;
    pickle->memo[place] = top;
    return STATUS_OK;
}

static enum status put_memo(struct pickle *pickle, int place_bytes) {
    uint64_t place = pickle->memo_count;
    if (place_bytes)
        TRY(take_number(pickle, place_bytes, &place));
    return remember(pickle, place);
}

static enum status get_memo(struct pickle *pickle, int place_bytes) {
    uint64_t place;
    TRY(take_number(pickle, place_bytes, &place));
    if (place >= pickle->memo_count || pickle->memo[place] == mark)
        return refuse(pickle, "nothing is at this place in the memo");
    return push(pickle, pickle->memo[place]);
}

/* ---- instructions: what may be called ---- */

enum call { CALL_DICT, CALL_TENSOR, CALL_PARAMETER };

static const struct {
    const char *name;
    struct pickle_node node;
} globals[] = {
#define CLASS(name, type)                                                                                              \
    {                                                                                                                  \
        "torch." name, {                                                                                               \
            .kind = PICKLE_STORAGE_CLASS, .dtype = SAFETENSORS_##type                                                  \
        }                                                                                                              \
    }
    CLASS("FloatStorage", F32),
    CLASS("DoubleStorage", F64),
    CLASS("HalfStorage", F16),
    CLASS("BFloat16Storage", BF16),
    CLASS("LongStorage", I64),
    CLASS("IntStorage", I32),
    CLASS("ShortStorage", I16),
    CLASS("CharStorage", I8),
    CLASS("ByteStorage", U8),
    CLASS("BoolStorage", BOOL),
#undef CLASS
    {"collections.OrderedDict", {.kind = PICKLE_CALL, .whole = CALL_DICT}},
    {"torch._utils._rebuild_tensor_v2", {.kind = PICKLE_CALL, .whole = CALL_TENSOR}},
    {"torch._utils._rebuild_parameter", {.kind = PICKLE_CALL, .whole = CALL_PARAMETER}},
};

static enum status push_global(struct pickle *pickle, const char *module, const char *name) {
    char full[160];
    if (snprintf(full, sizeof full, "%s.%s", module, name) < (int)sizeof full)
        for (size_t i = 0; i < COUNT(globals); i++)
            if (strcmp(full, globals[i].name) == 0)
                return push_node(pickle, &globals[i].node);
    return fail(STATUS_DATA,
                "it holds a Python object, " SHOWN "." SHOWN ": only tensors, numbers, texts, lists and dictionaries "
                "are read, as in what torch.save(model.state_dict(), ...) writes",
                module, name);
}

static enum status take_line(struct pickle *pickle, char *text, size_t size) {
    const uint8_t *start = pickle->bytes + pickle->at;
    const uint8_t *end = memchr(start, '\n', pickle->end - pickle->at);
    size_t length = end ? (size_t)(end - start) : 0;
    if (!end || length >= size || memchr(start, 0, length))
        return refuse(pickle, "no name of a Python object");
    memcpy(text, start, length);
    text[length] = '\0';
    pickle->at += length + 1;
    return STATUS_OK;
}

static enum status make_global(struct pickle *pickle, int unused) {
    char module[128], name[128];
    (void)unused;
    TRY(take_line(pickle, module, sizeof module));
    TRY(take_line(pickle, name, sizeof name));
    return push_global(pickle, module, name);
}

static enum status make_stacked_global(struct pickle *pickle, int unused) {
    uint32_t module, name;
    (void)unused;
    TRY(pop(pickle, &name));
    TRY(pop(pickle, &module));
    if (node_at(pickle, module)->kind != PICKLE_TEXT || node_at(pickle, name)->kind != PICKLE_TEXT)
        return refuse(pickle, "no name of a Python object");
    return push_global(pickle, node_at(pickle, module)->text, node_at(pickle, name)->text);
}

static bool is_sequence(const struct pickle_node *node) {
    return node->kind == PICKLE_TUPLE || node->kind == PICKLE_LIST;
}

/* The item of a tuple or list, if it is of this kind; otherwise NULL. */
static const struct pickle_node *item_of(const struct pickle *pickle, const struct pickle_node *list, size_t index,
                                         enum pickle_kind kind) {
    if (!is_sequence(list) || index >= list->list.count)
        return NULL;
    const struct pickle_node *item = node_at(pickle, list->list.items[index]);
    return item->kind == kind ? item : NULL;
}

bool pickle_number(const struct pickle *pickle, const struct pickle_node *list, size_t index, int64_t *out) {
    const struct pickle_node *item = item_of(pickle, list, index, PICKLE_WHOLE);
    *out = item ? item->whole : 0;
    return item != NULL;
}

/* ("storage", class, key, where it was, number of values[, None]) */
static enum status make_storage(struct pickle *pickle, int unused) {
    enum { CLASS = 1, KEY = 2, VALUES = 4, VIEW = 5 };
    uint32_t index;
    (void)unused;
    TRY(pop(pickle, &index));
    const struct pickle_node *list = node_at(pickle, index),
                             *class = item_of(pickle, list, CLASS, PICKLE_STORAGE_CLASS);
    const struct pickle_node *kind = item_of(pickle, list, 0, PICKLE_TEXT);
    struct pickle_node node = {.kind = PICKLE_STORAGE};
    if (!class || !kind || strcmp(kind->text, "storage") != 0 || !item_of(pickle, list, KEY, PICKLE_TEXT) ||
        !pickle_number(pickle, list, VALUES, &node.storage.count) || node.storage.count < 0 ||
        (list->list.count > VIEW && !item_of(pickle, list, VIEW, PICKLE_NONE)))
        return refuse(pickle, "no storage of tensors");
    node.dtype = class->dtype;
    node.storage.key = list->list.items[KEY];
    return push_node(pickle, &node);
}

/* _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks[, metadata]) */
static enum status make_tensor(struct pickle *pickle, const struct pickle_node *arguments) {
    enum { OFFSET = 1, SHAPE = 2, STRIDES = 3, ARGUMENTS = 6 };
    const struct pickle_node *storage = item_of(pickle, arguments, 0, PICKLE_STORAGE);
    struct pickle_node node = {.kind = PICKLE_TENSOR};
    if (!storage || arguments->list.count < ARGUMENTS || !pickle_number(pickle, arguments, OFFSET, &node.tensor.offset))
        return refuse(pickle, "no tensor");
    const uint32_t *items = arguments->list.items;
    if (!is_sequence(node_at(pickle, items[SHAPE])) || !is_sequence(node_at(pickle, items[STRIDES])))
        return refuse(pickle, "a tensor without a shape");
    node.dtype = storage->dtype;
    node.tensor.storage = items[0];
    node.tensor.shape = items[SHAPE];
    node.tensor.strides = items[STRIDES];
    return push_node(pickle, &node);
}

static enum status call(struct pickle *pickle, int unused) {
    uint32_t function, index;
    (void)unused;
    TRY(pop(pickle, &index));
    TRY(pop(pickle, &function));
    const struct pickle_node *arguments = node_at(pickle, index);
    if (node_at(pickle, function)->kind != PICKLE_CALL || arguments->kind != PICKLE_TUPLE)
        return refuse(pickle, "something is called that is no function");
    switch ((enum call)node_at(pickle, function)->whole) {
    case CALL_TENSOR:
        return make_tensor(pickle, arguments);
    case CALL_PARAMETER: /* (tensor, requires_grad, hooks) */
        return item_of(pickle, arguments, 0, PICKLE_TENSOR) ? push(pickle, arguments->list.items[0])
                                                            : refuse(pickle, "a parameter that is no tensor");
    case CALL_DICT:
        break;
    }
    return arguments->list.count ? refuse(pickle, "a dictionary that is made of something")
                                 : make_empty(pickle, PICKLE_DICT);
}

/* Attributes of a dictionary: PyTorch notes versions of layers there, which nothing here depends on. */
static enum status drop_attributes(struct pickle *pickle, int unused) {
    uint32_t attributes, object;
    (void)unused;
    TRY(pop(pickle, &attributes));
    TRY(pop(pickle, &object));
    if (node_at(pickle, object)->kind != PICKLE_DICT)
        return refuse(pickle, "attributes of something that is no dictionary");
    return push(pickle, object);
}

static enum status skip(struct pickle *pickle, int bytes) {
    const uint8_t *skipped;
    return take(pickle, (size_t)bytes, &skipped);
}

/* ---- the machine ---- */

enum { STOP = '.' };

/* Python's Lib/pickletools.py describes the instructions. */
static const struct instruction {
    uint8_t code;
    enum status (*run)(struct pickle *pickle, int argument);
    int argument;
} instructions[] = {
    {0x80, skip, 1}, /* the protocol's number */
    {0x95, skip, 8}, /* the length of a frame */
    {'(', put_mark, 0},
    {'N', make_empty, PICKLE_NONE},
    {')', make_empty, PICKLE_TUPLE},
    {']', make_empty, PICKLE_LIST},
    {'}', make_empty, PICKLE_DICT},
    {0x88, make_bool, 1},
    {0x89, make_bool, 0},
    {'K', make_whole, 1},
    {'M', make_whole, 2},
    {'J', make_whole, -4},
    {0x8a, make_long, 1},
    {0x8b, make_long, 4},
    {'G', make_real, 0},
    {'U', make_text, 1},
    {'T', make_text, 4},
    {0x8c, make_text, 1},
    {'X', make_text, 4},
    {0x8d, make_text, 8},
    {'t', gather, PICKLE_TUPLE},
    {'l', gather, PICKLE_LIST},
    {'d', gather, PICKLE_DICT},
    {0x85, gather_few, 1},
    {0x86, gather_few, 2},
    {0x87, gather_few, 3},
    {'a', extend_one, PICKLE_LIST},
    {'s', extend_one, PICKLE_DICT},
    {'e', extend_many, PICKLE_LIST},
    {'u', extend_many, PICKLE_DICT},
    {'q', put_memo, 1},
    {'r', put_memo, 4},
    {0x94, put_memo, 0},
    {'h', get_memo, 1},
    {'j', get_memo, 4},
    {'c', make_global, 0},
    {0x93, make_stacked_global, 0},
    {'Q', make_storage, 0},
    {'R', call, 0},
    {'b', drop_attributes, 0},
};

static enum status run_one(struct pickle *pickle, uint8_t code) {
    for (size_t i = 0; i < COUNT(instructions); i++)
        if (instructions[i].code == code)
            return instructions[i].run(pickle, instructions[i].argument);
    return fail(STATUS_DATA,
                "the pickle has the instruction 0x%02x at byte %zu, which tensors and plain containers do not need",
                code, pickle->at - 1);
}

static enum status run(struct pickle *pickle) {
    const uint8_t *code;
    for (;;) {
        TRY(take(pickle, 1, &code));
        if (*code == STOP)
            break;
        TRY(run_one(pickle, *code));
    }
    TRY(pop(pickle, &pickle->top));
    pickle->size = pickle->at;
    return STATUS_OK;
}

enum status pickle_parse(const uint8_t *bytes, size_t size, struct pickle *out) {
    *out = (struct pickle){.bytes = bytes, .end = MIN(size, (size_t)PICKLE_LIMIT)};
    enum status status = run(out);
    if (status != STATUS_OK)
        pickle_destroy(out);
    return status;
}

void pickle_destroy(struct pickle *pickle) {
    for (size_t i = 0; i < pickle->count; i++) {
        struct pickle_node *node = &pickle->nodes[i];
        if (node->kind == PICKLE_TEXT)
            free(node->text);
        else if (is_sequence(node) || node->kind == PICKLE_DICT)
            free(node->list.items);
    }
    free(pickle->nodes);
    free(pickle->stack);
    free(pickle->memo);
    memset(pickle, 0, sizeof *pickle);
}

const struct pickle_node *pickle_find(const struct pickle *pickle, const struct pickle_node *dict, const char *key) {
    for (size_t i = 0; dict->kind == PICKLE_DICT && i + 1 < dict->list.count; i += 2) {
        const struct pickle_node *name = node_at(pickle, dict->list.items[i]);
        if (name->kind == PICKLE_TEXT && strcmp(name->text, key) == 0)
            return node_at(pickle, dict->list.items[i + 1]);
    }
    return NULL;
}
