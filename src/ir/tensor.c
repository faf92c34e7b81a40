#include "ir/tensor.h"

#include <stdio.h>
#include <string.h>

bool shape_equal(struct shape a, struct shape b) {
    return memcmp(a.d, b.d, sizeof a.d) == 0;
}

uint64_t shape_count(struct shape shape) {
    return (uint64_t)shape.d[0] * shape.d[1] * shape.d[2] * shape.d[3];
}

bool shape_valid(struct shape shape) {
    uint64_t count = 1;
    for (int i = 0; i < 4; i++) {
        uint64_t extent = i == 3 ? ((uint64_t)shape.d[3] + 3) / 4 * 4 : shape.d[i];
        if (extent == 0 || extent > UINT64_C(0x80000000) / count)
            return false;
        count *= extent;
    }
    return true;
}

char *shape_print(struct shape shape, char *text) {
    snprintf(text, 48, "%ux%ux%ux%u", shape.d[0], shape.d[1], shape.d[2], shape.d[3]);
    return text;
}

uint32_t tensor_row(const struct tensor *tensor) {
    return tensor->dtype == DTYPE_U8 ? tensor->shape.d[3] : (tensor->shape.d[3] + 3) / 4 * 4;
}

uint64_t tensor_elements(const struct tensor *tensor) {
    return (uint64_t)tensor->shape.d[0] * tensor->shape.d[1] * tensor->shape.d[2] * tensor_row(tensor);
}

uint64_t tensor_bytes(const struct tensor *tensor) {
    uint64_t elements = tensor_elements(tensor);
    return tensor->dtype == DTYPE_U8 ? (elements + 3) / 4 * 4 : elements * 4;
}

void tensor_store(const struct tensor *tensor, const double *dense, void *stored) {
    uint64_t rows = shape_count(tensor->shape) / tensor->shape.d[3];
    uint32_t row = tensor_row(tensor), width = tensor->shape.d[3];
    memset(stored, 0, (size_t)tensor_bytes(tensor));
    for (uint64_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < width; c++) {
            double value = dense[r * width + c];
            if (tensor->dtype == DTYPE_F32)
                ((float *)stored)[r * row + c] = (float)value;
            else if (tensor->dtype == DTYPE_U32)
                ((uint32_t *)stored)[r * row + c] = (uint32_t)value;
            else
                ((uint8_t *)stored)[r * row + c] = (uint8_t)value;
        }
}

void tensor_load(const struct tensor *tensor, const void *stored, double *dense) {
    uint64_t rows = shape_count(tensor->shape) / tensor->shape.d[3];
    uint32_t row = tensor_row(tensor), width = tensor->shape.d[3];
    for (uint64_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < width; c++)
            dense[r * width + c] = tensor->dtype == DTYPE_F32   ? (double)((const float *)stored)[r * row + c]
                                   : tensor->dtype == DTYPE_U32 ? (double)((const uint32_t *)stored)[r * row + c]
                                                                : (double)((const uint8_t *)stored)[r * row + c];
}
