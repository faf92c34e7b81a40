#include "weights/protobuf.h"

#include "base/memory.h"

#include <string.h>

enum wire { WIRE_VARINT = 0, WIRE_LENGTH = 2, WIRE_32_BITS = 5 };

static void append(struct protobuf *message, const void *bytes, size_t size) {
    if (message->status == STATUS_OK)
        message->status = memory_grow(&message->bytes, &message->capacity, message->size + size, 1);
    if (message->status != STATUS_OK || size == 0)
        return;
    memcpy(message->bytes + message->size, bytes, size);
    message->size += size;
}

/* Seven bits a byte, the lowest first; the highest bit says that more follow. */
static void append_varint(struct protobuf *message, uint64_t value) {
    uint8_t bytes[10];
    size_t size = 0;
    for (; value > 127; value >>= 7)
        bytes[size++] = (uint8_t)(value | 128);
    bytes[size++] = (uint8_t)value;
    append(message, bytes, size);
}

static void append_tag(struct protobuf *message, uint32_t field, enum wire wire) {
    append_varint(message, (uint64_t)field << 3 | wire);
}

void protobuf_integer(struct protobuf *message, uint32_t field, int64_t value) {
    append_tag(message, field, WIRE_VARINT);
    append_varint(message, (uint64_t)value);
}

void protobuf_float(struct protobuf *message, uint32_t field, float value) {
    append_tag(message, field, WIRE_32_BITS);
    append(message, &value, sizeof value);
}

void protobuf_bytes(struct protobuf *message, uint32_t field, uint64_t size) {
    append_tag(message, field, WIRE_LENGTH);
    append_varint(message, size);
}

void protobuf_text(struct protobuf *message, uint32_t field, const char *text) {
    protobuf_bytes(message, field, strlen(text));
    append(message, text, strlen(text));
}

void protobuf_open(struct protobuf *message, uint32_t field, struct protobuf *inner, uint64_t size) {
    protobuf_bytes(message, field, inner->size + size);
    append(message, inner->bytes, inner->size);
    if (message->status == STATUS_OK)
        message->status = inner->status;
    inner->size = 0;
}

void protobuf_message(struct protobuf *message, uint32_t field, struct protobuf *inner) {
    protobuf_open(message, field, inner, 0);
}
