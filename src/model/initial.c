/*
 * initial: how parameters start, and their order in files.
 */
#include "base/random.h"
#include "model/model.h"

#include <math.h>

enum { CUT_ATTEMPTS = 64 }; /* 0.0455^64: never all used */

/* One stream of random numbers for each parameter and attempt, apart from the small numbers that others use. */
static uint32_t stream(size_t index, uint32_t attempt) {
    return random_bits(0x696e6974, (uint32_t)index, attempt);
}

static double truncated_normal(uint32_t seed, size_t index, uint32_t element) {
    double value = 0;
    for (uint32_t attempt = 0; attempt < CUT_ATTEMPTS; attempt++) {
        value = random_normal(seed, stream(index, attempt), element);
        if (fabs(value) <= 2)
            return value;
    }
    return 0;
}

static double sample(const struct parameter *parameter, uint32_t seed, size_t index, uint32_t element) {
    switch (parameter->initial) {
    case INITIAL_NORMAL:
        return parameter->scale * random_normal(seed, stream(index, 0), element);
    case INITIAL_TRUNCATED_NORMAL:
        return parameter->scale * truncated_normal(seed, index, element);
    case INITIAL_UNIFORM:
        return parameter->scale * (2 * random_uniform(seed, stream(index, 0), element) - 1);
    case INITIAL_CONSTANT:
        break;
    }
    return parameter->scale;
}

void model_initial(const struct model *model, size_t index, uint32_t seed, double *dense) {
    const struct parameter *parameter = &model->parameters[index];
    uint64_t count = shape_count(parameter->shape);
    for (uint64_t i = 0; i < count; i++)
        dense[i] = sample(parameter, seed, index, (uint32_t)i);
}

/* ---- files: convolution [o,i,kh,kw], dense [o,i] (of an image [o,i kh kw]), the rest [c] ---- */

uint32_t parameter_file_shape(const struct parameter *parameter, uint64_t shape[4]) {
    const uint32_t *d = parameter->shape.d;
    shape[0] = d[KO];
    if (parameter->class != PARAMETER_CONVOLUTION && parameter->class != PARAMETER_DENSE)
        return 1;
    shape[1] = d[KI];
    if (parameter->class == PARAMETER_DENSE) {
        shape[1] *= (uint64_t)d[KH] * d[KW];
        return 2;
    }
    shape[2] = d[KH];
    shape[3] = d[KW];
    return 4;
}

/* Where element [o,i,kh,kw] of a file lies on the device, which has [kh,kw,i,o]. For a vector they are the same. */
static uint64_t device_index(const struct parameter *parameter, uint64_t file_index) {
    const uint32_t *d = parameter->shape.d;
    uint64_t taps = (uint64_t)d[KH] * d[KW];
    uint64_t t = file_index % taps, i = file_index / taps % d[KI], o = file_index / taps / d[KI];
    return (t * d[KI] + i) * d[KO] + o;
}

void parameter_to_file(const struct parameter *parameter, const double *dense, double *file) {
    uint64_t count = shape_count(parameter->shape);
    for (uint64_t f = 0; f < count; f++)
        file[f] = dense[device_index(parameter, f)];
}

void parameter_from_file(const struct parameter *parameter, const double *file, double *dense) {
    uint64_t count = shape_count(parameter->shape);
    for (uint64_t f = 0; f < count; f++)
        dense[device_index(parameter, f)] = file[f];
}
