/*
 * fuzz_main: a fuzz target without libFuzzer: runs every file of the corpus, then mutations of them, always the same.
 *   fuzz_NAME_quick RUNS FOLDER...
 */
#include "fuzz.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { INPUTS = 512, LARGEST = 1 << 16, EDITS = 6, SECONDS = 20 };

struct input {
    uint8_t *bytes;
    size_t size;
};

static struct input corpus[INPUTS];
static size_t corpus_count;
static uint32_t draws;

static uint32_t below(size_t limit) {
    draws++;
    return limit ? random_below(1, 0, draws, (uint32_t)limit) : 0;
}

/* A parser that believes a large number must fail, not wait: no block of 128 MiB is there. */
#ifdef __SANITIZE_ADDRESS__
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "max_allocation_size_mb=128:allocator_may_return_null=1";
}
static void limit_memory(void) {}
#else
static void limit_memory(void) {
    const struct rlimit limit = {192 << 20, 192 << 20};
    setrlimit(RLIMIT_AS, &limit);
}
#endif

static int visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static void read_folder(const char *folder) {
    struct dirent **entries;
    int count = scandir(folder, &entries, visible, alphasort);
    for (int i = 0; i < count; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        struct input *input = &corpus[corpus_count];
        if (corpus_count < INPUTS && file_read(path, LARGEST, &input->bytes, &input->size) == STATUS_OK)
            corpus_count++;
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

/* In memory of exactly its size, so that AddressSanitizer sees a read past the end. */
static void run(const uint8_t *bytes, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        exit(1);
    memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* ---- mutations ---- */

/* Puts `count` bytes in place of `cut` at `at`. Inputs that would become too long stay as they are. */
static void splice(struct input *input, size_t at, size_t cut, const uint8_t *bytes, size_t count) {
    if (at + cut > input->size || input->size - cut + count > LARGEST)
        return;
    memmove(input->bytes + at + count, input->bytes + at + cut, input->size - at - cut);
    memcpy(input->bytes + at, bytes, count);
    input->size += count - cut;
}

static void put_number(struct input *input, size_t at) {
    static const uint64_t numbers[] = {0,          1,         0x7F,       0x80,       0xFF,
                                       0x7FFF,     0xFFFF,    0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
                                       1ULL << 40, INT64_MAX, 1ULL << 63, UINT64_MAX, UINT64_MAX - 7};
    uint64_t number = numbers[below(COUNT(numbers))];
    size_t width = (size_t)1 << below(4);
    uint8_t bytes[8];
    bool big_endian = below(2);
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(number >> 8 * (big_endian ? width - 1 - i : i));
    splice(input, at, MIN(width, input->size - at), bytes, width);
}

static void put_text(struct input *input, size_t at) {
    static const char *const words[] = {
        "0", "-1", "4294967296", "18446744073709551615", "1e999", "nan", "\"", "{}", "[", "]", "=", "x", "null", "\n",
        " ", ",",  "\\u0000"};
    const char *word = words[below(COUNT(words))];
    splice(input, at, below(2) ? MIN(strlen(word), input->size - at) : 0, (const uint8_t *)word, strlen(word));
}

static void edit(struct input *input) {
    const struct input *other = &corpus[below(corpus_count)];
    size_t at = below(input->size + 1), from = below(other->size + 1), length = below(64);
    uint8_t byte = (uint8_t)below(256);
    switch (below(7)) {
    case 0:
        if (at < input->size)
            input->bytes[at] ^= (uint8_t)(1U << below(8));
        break;
    case 1:
        splice(input, at, at < input->size, &byte, 1);
        break;
    case 2:
        put_number(input, at);
        break;
    case 3:
        put_text(input, at);
        break;
    case 4:
        splice(input, at, MIN(length, input->size - at), &byte, 0);
        break;
    case 5:
        splice(input, at, 0, other->bytes + from, MIN(length, other->size - from));
        break;
    default:
        input->size = below(8) ? input->size : at;
        break;
    }
}

static void run_mutation(uint8_t *room) {
    const struct input *from = &corpus[below(corpus_count)];
    struct input input = {room, from->size};
    memcpy(room, from->bytes, from->size);
    for (uint32_t edits = 1 + below(EDITS); edits; edits--)
        edit(&input);
    run(input.bytes, input.size);
}

int main(int argc, char **argv) {
    static uint8_t room[LARGEST + 64];
    long runs = argc > 1 ? strtol(argv[1], NULL, 10) : 0, done = 0;
    limit_memory();
    for (int i = 2; i < argc; i++)
        read_folder(argv[i]);
    if (!corpus_count) {
        fprintf(stderr, "%s: there is no corpus\n", argv[0]);
        return 1;
    }
    for (size_t i = 0; i < corpus_count; i++)
        run(corpus[i].bytes, corpus[i].size);
    for (uint64_t start = clock_ns(); done < runs && clock_ns() - start < SECONDS * UINT64_C(1000000000); done++)
        run_mutation(room);
    printf("%zu inputs and %ld mutations of them\n", corpus_count, done);
    for (size_t i = 0; i < corpus_count; i++)
        free(corpus[i].bytes);
    return 0;
}
