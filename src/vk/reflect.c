#include "vk/reflect.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Numbers of the SPIR-V specification, unified 1.6, sections 3.3 to 3.49. */
enum { MAGIC = 0x07230203, HEADER_WORDS = 5, LARGEST_BOUND = 0x3FFFFF };
/* An id takes at least two words to define, so the bound is far below this times the words unless it is made up. */
enum { IDS_A_WORD = 16 };
enum opcode {
    OP_ENTRY_POINT = 15,
    OP_EXECUTION_MODE = 16,
    OP_CAPABILITY = 17,
    OP_TYPE_BOOL = 20,
    OP_TYPE_INT = 21,
    OP_TYPE_FLOAT = 22,
    OP_TYPE_VECTOR = 23,
    OP_TYPE_MATRIX = 24,
    OP_TYPE_IMAGE = 25,
    OP_TYPE_SAMPLED_IMAGE = 27,
    OP_TYPE_ARRAY = 28,
    OP_TYPE_RUNTIME_ARRAY = 29,
    OP_TYPE_STRUCT = 30,
    OP_TYPE_POINTER = 32,
    OP_CONSTANT_TRUE = 41,
    OP_CONSTANT_FALSE = 42,
    OP_CONSTANT = 43,
    OP_CONSTANT_COMPOSITE = 44,
    OP_SPEC_CONSTANT_TRUE = 48,
    OP_SPEC_CONSTANT_FALSE = 49,
    OP_SPEC_CONSTANT = 50,
    OP_SPEC_CONSTANT_COMPOSITE = 51,
    OP_SPEC_CONSTANT_OP = 52,
    OP_VARIABLE = 59,
    OP_DECORATE = 71,
    OP_MEMBER_DECORATE = 72,
    OP_COMPOSITE_EXTRACT = 81,
    OP_I_ADD = 128,
    OP_I_SUB = 130,
    OP_I_MUL = 132,
    OP_U_DIV = 134,
    OP_S_DIV = 135,
    OP_U_MOD = 137,
    OP_SHIFT_RIGHT_LOGICAL = 194,
    OP_SHIFT_LEFT_LOGICAL = 196,
    OP_EXECUTION_MODE_ID = 331,
};
enum { MODEL_COMPUTE = 5, MODE_LOCAL_SIZE = 17, MODE_LOCAL_SIZE_ID = 38 };
enum { CAPABILITY_SUBGROUP_FIRST = 61, CAPABILITY_SUBGROUP_LAST = 68 };
enum {
    STORAGE_UNIFORM_CONSTANT = 0,
    STORAGE_UNIFORM = 2,
    STORAGE_WORKGROUP = 4,
    STORAGE_PUSH = 9,
    STORAGE_BUFFER = 12
};
enum decoration {
    DECORATION_SPEC_ID = 1,
    DECORATION_BUFFER_BLOCK = 3,
    DECORATION_ARRAY_STRIDE = 6,
    DECORATION_BUILT_IN = 11,
    DECORATION_NON_WRITABLE = 24,
    DECORATION_NON_READABLE = 25,
    DECORATION_BINDING = 33,
    DECORATION_DESCRIPTOR_SET = 34,
    DECORATION_OFFSET = 35,
};
enum { BUILT_IN_WORKGROUP_SIZE = 25, DIMENSION_BUFFER = 5, FORMAT_RGBA32F = 1 };

enum flag {
    NON_WRITABLE = 1,
    NON_READABLE = 2,
    BUFFER_BLOCK = 4,
    HAS_SPEC_ID = 8,
    HAS_BINDING = 16,
    HAS_VALUE = 32,
    HAS_WORKGROUP_SIZE = 64,
    NO_SIZE = 128,
};

/* What was learned about one result id. */
struct id {
    uint32_t op;
    uint32_t flags;                      /* enum flag; for structs the access flags hold when all members have them */
    uint32_t spec_id, set, binding;      /* from decorations */
    uint32_t stride;                     /* of array elements, 0 when not given */
    uint32_t type;                       /* pointee, element, or image type */
    uint32_t value;                      /* of a constant with HAS_VALUE */
    uint32_t parts[3];                   /* ids of a composite constant's first parts */
    uint32_t bytes;                      /* size of a type, clamped; not known with NO_SIZE */
    uint32_t sampled, format, dimension; /* of an image type */
};

struct member {
    uint32_t structure, index, decoration, value;
};

struct parser {
    const uint32_t *constants;
    uint32_t constant_count;
    struct id *ids;
    uint32_t bound;
    struct member *members;
    size_t member_count, member_capacity;
    uint32_t entry; /* id of the entry point's function */
    bool has_entry;
    uint32_t size[3], size_ids[3]; /* the workgroup's size, or ids of constants that hold it */
    uint64_t shared_bytes;
    bool no_shared_size;
    struct reflection *out;
};

/* One instruction: words[0] holds count and opcode. */
struct instruction {
    const uint32_t *words;
    uint32_t count;
};

/* Operand words past the end read as 0, which is no id. */
static uint32_t word(struct instruction instruction, uint32_t i) {
    return i < instruction.count ? instruction.words[i] : 0;
}

/* Ids out of bounds share slot 0, which no valid module uses. */
static struct id *slot(struct parser *parser, uint32_t id) {
    return &parser->ids[id < parser->bound ? id : 0];
}

static uint32_t clamp(uint64_t bytes) {
    return (uint32_t)MIN(bytes, UINT32_MAX);
}

/* ---- entry point, capabilities, decorations ---- */

static enum status entry_point(struct parser *parser, struct instruction at) {
    if (word(at, 1) != MODEL_COMPUTE || parser->has_entry)
        return STATUS_OK;
    parser->has_entry = true;
    parser->entry = word(at, 2);
    for (uint32_t i = 0; i < sizeof parser->out->entry; i++) {
        parser->out->entry[i] = (char)(word(at, 3 + i / 4) >> 8 * (i % 4) & 0xFF);
        if (!parser->out->entry[i])
            return STATUS_OK;
    }
    return fail(STATUS_DATA, "the entry point's name is longer than %zu bytes", sizeof parser->out->entry - 1);
}

static void execution_mode(struct parser *parser, struct instruction at) {
    if (word(at, 1) != parser->entry || !parser->has_entry)
        return;
    for (uint32_t i = 0; i < 3; i++) {
        if (word(at, 2) == MODE_LOCAL_SIZE)
            parser->size[i] = word(at, 3 + i);
        if (word(at, 2) == MODE_LOCAL_SIZE_ID)
            parser->size_ids[i] = word(at, 3 + i);
    }
}

static void decorate(struct parser *parser, struct instruction at) {
    struct id *id = slot(parser, word(at, 1));
    uint32_t value = word(at, 3);
    switch (word(at, 2)) {
    case DECORATION_SPEC_ID:
        id->spec_id = value;
        id->flags |= HAS_SPEC_ID;
        break;
    case DECORATION_BUFFER_BLOCK:
        id->flags |= BUFFER_BLOCK;
        break;
    case DECORATION_BUILT_IN:
        if (value == BUILT_IN_WORKGROUP_SIZE)
            id->flags |= HAS_WORKGROUP_SIZE;
        break;
    case DECORATION_ARRAY_STRIDE:
        id->stride = value;
        break;
    case DECORATION_NON_WRITABLE:
        id->flags |= NON_WRITABLE;
        break;
    case DECORATION_NON_READABLE:
        id->flags |= NON_READABLE;
        break;
    case DECORATION_BINDING:
        id->binding = value;
        id->flags |= HAS_BINDING;
        break;
    case DECORATION_DESCRIPTOR_SET:
        id->set = value;
        break;
    default:
        break;
    }
}

static enum status member_decorate(struct parser *parser, struct instruction at) {
    enum { LIMIT = 4096 };
    if (parser->member_count >= LIMIT)
        return fail(STATUS_DATA, "more than %d decorations of structure members", LIMIT);
    TRY(memory_grow(&parser->members, &parser->member_capacity, parser->member_count + 1, sizeof *parser->members));
    parser->members[parser->member_count++] = (struct member){
        .structure = word(at, 1), .index = word(at, 2), .decoration = word(at, 3), .value = word(at, 4)};
    return STATUS_OK;
}

/* ---- types ---- */

/* A structure ends where its last member ends; it is readonly (writeonly) when all its members are. */
static void structure(struct parser *parser, struct instruction at, struct id *id) {
    uint32_t member_count = at.count - 2, non_writable = 0, non_readable = 0;
    uint64_t packed = 0, end = 0;
    for (uint32_t i = 0; i < member_count; i++)
        packed += slot(parser, word(at, 2 + i))->bytes;
    for (size_t i = 0; i < parser->member_count; i++) {
        const struct member *member = &parser->members[i];
        if (member->structure != word(at, 1) || member->index >= member_count)
            continue;
        non_writable += member->decoration == DECORATION_NON_WRITABLE;
        non_readable += member->decoration == DECORATION_NON_READABLE;
        if (member->decoration == DECORATION_OFFSET)
            end = MAX(end, (uint64_t)member->value + slot(parser, word(at, 2 + member->index))->bytes);
    }
    id->bytes = clamp(end ? end : packed);
    if (member_count && non_writable >= member_count)
        id->flags |= NON_WRITABLE;
    if (member_count && non_readable >= member_count)
        id->flags |= NON_READABLE;
}

static void type(struct parser *parser, struct instruction at, enum opcode op) {
    struct id *id = slot(parser, word(at, 1));
    const struct id *inner = slot(parser, word(at, 2));
    /* Three-component vectors take the room of four in arrays and matrices. */
    uint64_t step = id->stride ? id->stride : inner->bytes == 12 ? 16 : inner->bytes;
    id->op = op;
    id->type = word(at, 2);
    switch (op) {
    case OP_TYPE_BOOL:
        id->bytes = 4;
        break;
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT:
        id->bytes = word(at, 2) / 8;
        break;
    case OP_TYPE_VECTOR:
        id->bytes = clamp((uint64_t)inner->bytes * word(at, 3));
        break;
    case OP_TYPE_MATRIX:
        id->bytes = clamp(step * word(at, 3));
        break;
    case OP_TYPE_ARRAY:
        id->bytes = clamp(step * slot(parser, word(at, 3))->value);
        if (!(slot(parser, word(at, 3))->flags & HAS_VALUE) || inner->flags & NO_SIZE)
            id->flags |= NO_SIZE;
        break;
    case OP_TYPE_IMAGE:
        id->dimension = word(at, 3);
        id->sampled = word(at, 7);
        id->format = word(at, 8);
        break;
    case OP_TYPE_STRUCT:
        structure(parser, at, id);
        break;
    case OP_TYPE_POINTER:
        id->type = word(at, 3);
        break;
    default:
        break;
    }
}

/* ---- constants ---- */

static bool evaluate(uint32_t op, uint32_t a, uint32_t b, uint32_t *value) {
    switch (op) {
    case OP_I_ADD:
        *value = a + b;
        return true;
    case OP_I_SUB:
        *value = a - b;
        return true;
    case OP_I_MUL:
        *value = a * b;
        return true;
    case OP_U_DIV:
    case OP_S_DIV: /* sizes are not negative */
        *value = b ? a / b : 0;
        return b != 0;
    case OP_U_MOD:
        *value = b ? a % b : 0;
        return b != 0;
    case OP_SHIFT_RIGHT_LOGICAL:
        *value = a >> (b & 31);
        return true;
    case OP_SHIFT_LEFT_LOGICAL:
        *value = a << (b & 31);
        return true;
    default:
        return false;
    }
}

static void constant_operation(struct parser *parser, struct instruction at, struct id *id) {
    const struct id *a = slot(parser, word(at, 4)), *b = slot(parser, word(at, 5));
    bool known;
    if (word(at, 3) == OP_COMPOSITE_EXTRACT) {
        const struct id *part = slot(parser, word(at, 5) < COUNT(a->parts) ? a->parts[word(at, 5)] : 0);
        known = part->flags & HAS_VALUE;
        id->value = part->value;
    } else {
        known = a->flags & b->flags & HAS_VALUE && evaluate(word(at, 3), a->value, b->value, &id->value);
    }
    id->flags |= known ? HAS_VALUE : 0;
}

static void constant(struct parser *parser, struct instruction at, enum opcode op) {
    struct id *id = slot(parser, word(at, 2));
    id->op = op;
    if (op == OP_SPEC_CONSTANT_OP) {
        constant_operation(parser, at, id);
        return;
    }
    id->flags |= HAS_VALUE;
    id->value = op == OP_CONSTANT_TRUE || op == OP_SPEC_CONSTANT_TRUE;
    if (op == OP_CONSTANT || op == OP_SPEC_CONSTANT)
        id->value = word(at, 3);
    if (id->flags & HAS_SPEC_ID && id->spec_id < parser->constant_count)
        id->value = parser->constants[id->spec_id];
}

/* A constant decorated as the workgroup's size goes before the execution mode. Its decoration was seen before it. */
static void composite(struct parser *parser, struct instruction at) {
    struct id *id = slot(parser, word(at, 2));
    for (uint32_t i = 0; i < COUNT(id->parts); i++)
        id->parts[i] = word(at, 3 + i);
    if (id->flags & HAS_WORKGROUP_SIZE)
        memcpy(parser->size_ids, id->parts, sizeof parser->size_ids);
}

/* ---- variables ---- */

/* The kind of binding that a pointee type stands for, BINDING_UNUSED when it is none of them. */
static enum binding_kind binding_kind(struct parser *parser, uint32_t storage, const struct id *pointee) {
    if (pointee->op == OP_TYPE_STRUCT) {
        bool old_style = storage == STORAGE_UNIFORM && pointee->flags & BUFFER_BLOCK;
        return storage == STORAGE_BUFFER || old_style ? BINDING_STORAGE : BINDING_UNUSED;
    }
    bool combined = pointee->op == OP_TYPE_SAMPLED_IMAGE;
    const struct id *image = combined ? slot(parser, pointee->type) : pointee;
    if (image->op != OP_TYPE_IMAGE || image->dimension != DIMENSION_BUFFER)
        return BINDING_UNUSED;
    if (image->sampled == 2)
        return image->format == FORMAT_RGBA32F ? BINDING_STORAGE_TEXELS : BINDING_UNUSED;
    return BINDING_UNIFORM_TEXELS;
}

static enum status binding(struct parser *parser, const struct id *variable, uint32_t storage,
                           const struct id *pointee) {
    struct reflection *out = parser->out;
    uint32_t number = variable->binding;
    if (!(variable->flags & HAS_BINDING) || variable->set != 0 || number >= VK_BINDINGS)
        return fail(STATUS_DATA, "a resource is at set %u, binding %u: the bindings 0 to %d of set 0 exist",
                    variable->set, number, VK_BINDINGS - 1);
    enum binding_kind kind = binding_kind(parser, storage, pointee);
    if (kind == BINDING_UNUSED)
        return fail(STATUS_DATA, "binding %u is neither a storage buffer nor an RGBA32F texel buffer", number);
    if (out->kinds[number] != BINDING_UNUSED && out->kinds[number] != kind)
        return fail(STATUS_DATA, "binding %u is declared as two kinds of resource", number);
    uint32_t flags = variable->flags | (kind == BINDING_STORAGE ? pointee->flags : 0);
    uint32_t access = VK_READS | VK_WRITES;
    if (flags & NON_WRITABLE || kind == BINDING_UNIFORM_TEXELS)
        access &= ~(uint32_t)VK_WRITES;
    if (flags & NON_READABLE)
        access &= ~(uint32_t)VK_READS;
    out->kinds[number] = kind;
    out->interface.bindings[number].texels = kind != BINDING_STORAGE;
    out->interface.bindings[number].access |= access;
    out->interface.binding_count = MAX(out->interface.binding_count, number + 1);
    return STATUS_OK;
}

static enum status variable(struct parser *parser, struct instruction at) {
    const struct id *pointee = slot(parser, slot(parser, word(at, 1))->type);
    uint32_t storage = word(at, 3);
    switch (storage) {
    case STORAGE_UNIFORM_CONSTANT:
    case STORAGE_UNIFORM:
    case STORAGE_BUFFER:
        return binding(parser, slot(parser, word(at, 2)), storage, pointee);
    case STORAGE_PUSH:
        parser->out->interface.push_bytes = pointee->bytes;
        return STATUS_OK;
    case STORAGE_WORKGROUP:
        parser->shared_bytes += pointee->bytes;
        parser->no_shared_size |= (pointee->flags & NO_SIZE) != 0;
        return STATUS_OK;
    default:
        return STATUS_OK;
    }
}

/* ---- the module ---- */

static enum status capability(struct reflection *out, uint32_t number) {
    if (out->capability_count == REFLECTION_CAPABILITIES)
        return fail(STATUS_DATA, "more than %d capabilities", REFLECTION_CAPABILITIES);
    out->capabilities[out->capability_count++] = number;
    out->uses_subgroups |= number >= CAPABILITY_SUBGROUP_FIRST && number <= CAPABILITY_SUBGROUP_LAST;
    return STATUS_OK;
}

static enum status visit(struct parser *parser, struct instruction at) {
    enum opcode op = at.words[0] & 0xFFFF;
    switch (op) {
    case OP_CAPABILITY:
        return capability(parser->out, word(at, 1));
    case OP_ENTRY_POINT:
        return entry_point(parser, at);
    case OP_EXECUTION_MODE:
    case OP_EXECUTION_MODE_ID:
        execution_mode(parser, at);
        return STATUS_OK;
    case OP_DECORATE:
        decorate(parser, at);
        return STATUS_OK;
    case OP_MEMBER_DECORATE:
        return member_decorate(parser, at);
    case OP_TYPE_BOOL:
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT:
    case OP_TYPE_VECTOR:
    case OP_TYPE_MATRIX:
    case OP_TYPE_IMAGE:
    case OP_TYPE_SAMPLED_IMAGE:
    case OP_TYPE_ARRAY:
    case OP_TYPE_RUNTIME_ARRAY:
    case OP_TYPE_STRUCT:
    case OP_TYPE_POINTER:
        if (at.count < 2)
            return fail(STATUS_DATA, "a type without a result");
        type(parser, at, op);
        return STATUS_OK;
    case OP_CONSTANT_TRUE:
    case OP_CONSTANT_FALSE:
    case OP_CONSTANT:
    case OP_SPEC_CONSTANT_TRUE:
    case OP_SPEC_CONSTANT_FALSE:
    case OP_SPEC_CONSTANT:
    case OP_SPEC_CONSTANT_OP:
        constant(parser, at, op);
        return STATUS_OK;
    case OP_CONSTANT_COMPOSITE:
    case OP_SPEC_CONSTANT_COMPOSITE:
        composite(parser, at);
        return STATUS_OK;
    case OP_VARIABLE:
        return variable(parser, at);
    default:
        return STATUS_OK;
    }
}

static enum status walk(struct parser *parser, const uint32_t *words, size_t count) {
    for (size_t i = HEADER_WORDS; i < count;) {
        struct instruction at = {words + i, words[i] >> 16};
        if (at.count == 0 || at.count > count - i)
            return fail(STATUS_DATA, "the instruction at word %zu of %zu is cut off", i, count);
        TRY(visit(parser, at));
        i += at.count;
    }
    return STATUS_OK;
}

static enum status finish(struct parser *parser) {
    struct vk_interface *interface = &parser->out->interface;
    if (!parser->has_entry)
        return fail(STATUS_DATA, "the module has no compute entry point");
    for (uint32_t i = 0; i < 3; i++) {
        const struct id *id = slot(parser, parser->size_ids[i]);
        bool by_constant = parser->size_ids[i] != 0;
        interface->group_size[i] = !by_constant ? parser->size[i] : id->flags & HAS_VALUE ? id->value : 0;
        if (interface->group_size[i] == 0)
            return fail(STATUS_DATA, "the workgroup's size along axis %u is missing or 0", i);
    }
    interface->shared_bytes = parser->no_shared_size ? 0 : clamp(parser->shared_bytes);
    return STATUS_OK;
}

enum status reflect_module(const uint32_t *words, size_t count, const uint32_t *constants, uint32_t constant_count,
                           struct reflection *out) {
    *out = (struct reflection){0};
    if (count < HEADER_WORDS || words[0] != MAGIC)
        return fail(STATUS_DATA, "not a SPIR-V module of this machine's byte order");
    if (words[3] > LARGEST_BOUND)
        return fail(STATUS_DATA, "%u ids: a SPIR-V module has at most %d", words[3], LARGEST_BOUND);
    if (words[3] / IDS_A_WORD > count)
        return fail(STATUS_DATA, "%u ids: there cannot be so many in %zu words of SPIR-V", words[3], count);
    struct parser parser = {
        .constants = constants, .constant_count = constant_count, .bound = MAX(words[3], 1U), .out = out};
    TRY(memory_zeroed(parser.bound, sizeof *parser.ids, &parser.ids));
    enum status status = walk(&parser, words, count);
    if (status == STATUS_OK)
        status = finish(&parser);
    free(parser.ids);
    free(parser.members);
    return status;
}
