/*
 * protobuf: writes messages in the wire format of Protocol Buffers (protobuf.dev/programming-guides/encoding): fields
 * of a number, a type and a value, in any order.
 *
 * Writing never needs a check after each call: the first failure is kept in `status`.
 */
#ifndef RVK_WEIGHTS_PROTOBUF_H
#define RVK_WEIGHTS_PROTOBUF_H

#include "base/status.h"

#include <stdint.h>

/* Starts zeroed; free(bytes) in the end. */
struct protobuf {
    uint8_t *bytes;
    size_t size, capacity;
    enum status status; /* STATUS_MEMORY: the message is not whole */
};

void protobuf_integer(struct protobuf *message, uint32_t field, int64_t value);
void protobuf_float(struct protobuf *message, uint32_t field, float value);
void protobuf_text(struct protobuf *message, uint32_t field, const char *text);

/* The message `inner` as a field; `inner` is empty afterwards and may be used again. */
void protobuf_message(struct protobuf *message, uint32_t field, struct protobuf *inner);

/* The beginning of such a field, or of one that is nothing but bytes: the caller puts `size` more bytes behind it. */
void protobuf_open(struct protobuf *message, uint32_t field, struct protobuf *inner, uint64_t size);
void protobuf_bytes(struct protobuf *message, uint32_t field, uint64_t size);

#endif
