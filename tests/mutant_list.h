/*
 * mutant_list: a line of the lists of mistakes, mutants_conv.h and mutants_other.h.
 */
#ifndef RVK_TEST_MUTANT_LIST_H
#define RVK_TEST_MUTANT_LIST_H

#include "mutant.h"

enum mutant_kind {
    INDEX,   /* off by one, or the index of something else */
    PADDING, /* a border, or the zeros that fill a row of vec4s */
    STRIDE,  /* a wrong step from one element to the next */
    CHANNEL, /* a swapped or wrong channel */
    TAIL,    /* the last part of a loop, reduction or output is left out */
    BARRIER, /* left out */
    HALF,    /* half precision */
    FACTOR,  /* a wrong factor or formula */
    TERM,    /* a term or operand is left out */
    SPECIAL, /* NaN, infinity, ties, gates, absent labels */
    MUTANT_KINDS
};

struct listed {
    const char *op, *form; /* what shows the mistake; form NULL: any of the op's */
    enum mutant_kind kind;
    const char *kernel, *file, *text, *mistake; /* see struct mutant */
};

static inline struct mutant listed_mutant(const struct listed *line) {
    return (struct mutant){line->op, line->kernel, line->file, line->text, line->mistake};
}

/* A float, or a vec4, rounded to half precision. */
#define HALF1(value) "unpackHalf2x16(packHalf2x16(vec2(" value "))).x"
#define HALF4(value) "vec4(unpackHalf2x16(packHalf2x16((" value ").xy)), unpackHalf2x16(packHalf2x16((" value ").zw)))"

#endif
