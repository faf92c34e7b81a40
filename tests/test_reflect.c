/* reflect: what is read from SPIR-V, and that damaged modules are refused without harm. */
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "vk/kernel_table.h"
#include "vk/reflect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* last: it defines a macro called fail */

struct module {
    uint32_t *words;
    size_t count;
};

static struct module read_kernel(const char *name) {
    char path[1024];
    uint8_t *bytes;
    size_t size;
    snprintf(path, sizeof path, "%s/%s.spv", TEST_KERNELS, name);
    if (file_read(path, 1 << 20, &bytes, &size) != STATUS_OK)
        fail_msg("%s", status_message());
    struct module module = {malloc(size), size / 4};
    assert_non_null(module.words);
    memcpy(module.words, bytes, size);
    free(bytes);
    return module;
}

static struct reflection reflect(const char *name, const uint32_t *constants, uint32_t count) {
    struct module module = read_kernel(name);
    struct reflection reflection;
    if (reflect_module(module.words, module.count, constants, count, &reflection) != STATUS_OK)
        fail_msg("%s: %s", name, status_message());
    free(module.words);
    return reflection;
}

static void assert_size(const struct reflection *reflection, uint32_t x, uint32_t y, uint32_t z) {
    assert_int_equal(reflection->interface.group_size[0], x);
    assert_int_equal(reflection->interface.group_size[1], y);
    assert_int_equal(reflection->interface.group_size[2], z);
}

static void embedded_copy(void **state) {
    (void)state;
    for (const struct kernel_module *module = kernel_table; module->name; module++) {
        struct reflection reflection;
        if (reflect_module(module->words, module->bytes / 4, NULL, 0, &reflection) != STATUS_OK)
            fail_msg("%s: %s", module->name, status_message());
        assert_string_equal(reflection.entry, "main");
        if (strcmp(module->name, "copy") != 0 && strcmp(module->name, "copy.texels") != 0)
            continue;
        bool texels = strcmp(module->name, "copy") != 0;
        assert_int_equal(reflection.interface.binding_count, 2);
        assert_int_equal(reflection.interface.bindings[0].texels, texels);
        assert_int_equal(reflection.interface.bindings[0].access, VK_READS);
        assert_int_equal(reflection.kinds[0], texels ? BINDING_STORAGE_TEXELS : BINDING_STORAGE);
        assert_false(reflection.interface.bindings[1].texels);
        assert_int_equal(reflection.interface.bindings[1].access, VK_WRITES);
        assert_int_equal(reflection.interface.push_bytes, 4);
        assert_int_equal(reflection.interface.shared_bytes, 0);
        assert_false(reflection.uses_subgroups);
        assert_size(&reflection, 64, 1, 1);
    }
}

static void specialization(void **state) {
    (void)state;
    struct reflection plain = reflect("specialized", NULL, 0);
    assert_size(&plain, 1, 1, 1);
    assert_int_equal(plain.interface.shared_bytes, (4 + 1) * 1 * 16 + 4 + 5 * 16);
    const uint32_t constants[] = {32, 2, 7, 1};
    struct reflection special = reflect("specialized", constants, COUNT(constants));
    assert_size(&special, 32, 2, 1);
    assert_int_equal(special.interface.shared_bytes, (7 + 1) * 32 * 16 + 4 + 5 * 16);
    const uint32_t huge[] = {UINT32_MAX, 1, UINT32_MAX - 1};
    assert_int_equal(reflect("specialized", huge, COUNT(huge)).interface.group_size[0], UINT32_MAX);
}

static void bindings(void **state) {
    (void)state;
    struct reflection reflection = reflect("specialized", NULL, 0);
    assert_int_equal(reflection.interface.binding_count, 4);
    assert_int_equal(reflection.interface.bindings[0].access, VK_READS);
    assert_int_equal(reflection.interface.bindings[1].access, VK_READS | VK_WRITES);
    assert_int_equal(reflection.kinds[2], BINDING_UNUSED);
    assert_int_equal(reflection.interface.bindings[2].access, 0);
    assert_int_equal(reflection.interface.bindings[3].access, VK_WRITES);
    assert_int_equal(reflection.interface.push_bytes, 8 + 3 * 4 + 4);

    struct reflection fetch = reflect("fetch", NULL, 0);
    assert_int_equal(fetch.kinds[0], BINDING_UNIFORM_TEXELS);
    assert_true(fetch.interface.bindings[0].texels);
    assert_int_equal(fetch.interface.bindings[0].access, VK_READS);
    assert_size(&fetch, 4, 2, 1);
    assert_true(reflect("shuffle", NULL, 0).uses_subgroups);
}

static void refused(void **state) {
    (void)state;
    static const struct {
        const char *name, *part;
    } cases[] = {{"integers", "binding 0 is neither"}, {"second_set", "set 1, binding 0"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct module module = read_kernel(cases[i].name);
        struct reflection reflection;
        assert_int_equal(reflect_module(module.words, module.count, NULL, 0, &reflection), STATUS_DATA);
        if (!strstr(status_message(), cases[i].part))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].name, status_message(), cases[i].part);
        free(module.words);
    }
}

/* Every module cut at every word: each copy ends where its block ends, so that a read past it is seen. */
static void truncated(void **state) {
    (void)state;
    struct module module = read_kernel("specialized");
    uint32_t refusals = 0;
    for (size_t count = 0; count < module.count; count++) {
        uint32_t *part = malloc(count * 4 + (count == 0));
        assert_non_null(part);
        memcpy(part, module.words, count * 4);
        struct reflection reflection;
        refusals += reflect_module(part, count, NULL, 0, &reflection) != STATUS_OK;
        free(part);
    }
    /* A cut between two instructions behind the declarations is not seen here: spirv-val's matter. */
    assert_true(refusals > module.count / 2);
    free(module.words);
}

/* A few random words replaced, in the declarations that the parser follows and anywhere. */
static void mutated(void **state) {
    (void)state;
    static const char *const names[] = {"specialized", "fetch", "shuffle"};
    enum { ROUNDS = 20000 };
    uint32_t accepted = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        static struct module modules[COUNT(names)];
        struct module *module = &modules[round % COUNT(names)];
        if (!module->words)
            *module = read_kernel(names[round % COUNT(names)]);
        uint32_t *copy = malloc(module->count * 4);
        assert_non_null(copy);
        memcpy(copy, module->words, module->count * 4);
        for (uint32_t i = 0; i < 1 + round % 5; i++) {
            uint32_t at = random_below(1, round, 3 * i, (uint32_t)module->count - 5) + 5;
            uint32_t bits = random_bits(1, round, 3 * i + 1);
            copy[at] = round & 1 ? bits : copy[at] ^ 1U << bits % 32;
        }
        const uint32_t constants[] = {random_bits(2, round, 0), random_bits(2, round, 1), 3};
        struct reflection reflection;
        accepted += reflect_module(copy, module->count, constants, COUNT(constants), &reflection) == STATUS_OK;
        free(copy);
        if (round >= ROUNDS - COUNT(names))
            free(module->words);
    }
    assert_in_range(accepted, 1, ROUNDS - 1);
}

static void garbage(void **state) {
    (void)state;
    uint32_t words[64] = {0x07230203, 0x00010300, 0, 20, 0};
    struct reflection reflection;
    assert_int_equal(reflect_module(words, 0, NULL, 0, &reflection), STATUS_DATA);
    assert_int_equal(reflect_module(words, 5, NULL, 0, &reflection), STATUS_DATA);
    assert_non_null(strstr(status_message(), "no compute entry point"));
    assert_int_equal(reflect_module(words, 6, NULL, 0, &reflection), STATUS_DATA);
    assert_non_null(strstr(status_message(), "cut off"));
    words[3] = UINT32_MAX;
    assert_int_equal(reflect_module(words, 5, NULL, 0, &reflection), STATUS_DATA);
    words[0] = 0x03022307;
    assert_int_equal(reflect_module(words, 5, NULL, 0, &reflection), STATUS_DATA);
    assert_non_null(strstr(status_message(), "not a SPIR-V module"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embedded_copy), cmocka_unit_test(specialization), cmocka_unit_test(bindings),
        cmocka_unit_test(refused),       cmocka_unit_test(truncated),      cmocka_unit_test(mutated),
        cmocka_unit_test(garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
