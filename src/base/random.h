/*
 * random: every random choice is a pure function of numbers, never of a hidden state.
 *
 * random_bits(seed, stream, index) mixes 32-bit words with the PCG output hash (Jarzynski and Olano, "Hash Functions
 * for GPU Rendering", JCGT 9(3), 2020). shaders/random.glsl holds the same function: both must give the same bits.
 */
#ifndef RVK_BASE_RANDOM_H
#define RVK_BASE_RANDOM_H

#include <stdint.h>

/* 32 random bits for (seed, stream, index). Use a different `stream` for every purpose. */
uint32_t random_bits(uint32_t seed, uint32_t stream, uint32_t index);

/* Uniform in [0, 1), with 24 bits. */
double random_uniform(uint32_t seed, uint32_t stream, uint32_t index);

/* Uniform whole number in [0, count), count >= 1. */
uint32_t random_below(uint32_t seed, uint32_t stream, uint32_t index, uint32_t count);

/* Standard normal (Box-Muller on two uniform draws of the same stream, indices 2i and 2i+1). */
double random_normal(uint32_t seed, uint32_t stream, uint32_t index);

#endif
