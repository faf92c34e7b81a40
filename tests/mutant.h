/*
 * mutant: plants a mistake in a shader, as text. The compiled kernel is in mutant_folder, for vk_options.kernel_path.
 */
#ifndef RVK_TEST_MUTANT_H
#define RVK_TEST_MUTANT_H

#include "base/file.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mutant {
    const char *op, *kernel;
    const char *file; /* where the mistake is: NULL: in the kernel itself */
    const char *text, *mistake;
};

static char mutant_folder[] = "/tmp/resnet-vk-test-mutants-XXXXXX";

/* Where `text` is in code, not in a comment. */
static inline const char *mutant_find_code(const char *source, const char *text) {
    for (const char *place = source; (place = strstr(place, text)) != NULL; place++) {
        const char *line = place;
        while (line > source && line[-1] != '\n')
            line--;
        if (strncmp(line, "//", 2) != 0)
            return place;
    }
    return NULL;
}

/* A shader's text; free with free(). */
static inline char *mutant_read(const char *name, size_t *size) {
    char path[512];
    uint8_t *source;
    snprintf(path, sizeof path, "%s/%s", SHADER_DIR, name);
    assert_int_equal(file_read(path, 1 << 20, &source, size), STATUS_OK);
    return (char *)source;
}

/* In how many places the mistake could be made: 1 is wanted. */
static inline int mutant_places(const struct mutant *mutant) {
    char name[128];
    size_t size;
    int count = 0;
    snprintf(name, sizeof name, "%s%s", mutant->file ? mutant->file : mutant->kernel, mutant->file ? "" : ".comp");
    char *source = mutant_read(name, &size);
    for (const char *place = source; (place = mutant_find_code(place, mutant->text)) != NULL; place++)
        count++;
    free(source);
    return count;
}

/* Copies a shader to the folder, with the mistake if there is one. */
static inline void mutant_put_shader(const char *name, const char *text, const char *mistake) {
    char path[512];
    size_t size;
    char *source = mutant_read(name, &size);
    const char *all = source, *place = text ? mutant_find_code(all, text) : all + size;
    if (!place)
        fail_msg("%s has no \"%s\" any more", name, text);
    size_t before = (size_t)(place - all), skipped = text ? strlen(text) : 0;
    const struct file_piece pieces[] = {
        {all, before}, {mistake, text ? strlen(mistake) : 0}, {place + skipped, size - before - skipped}};
    snprintf(path, sizeof path, "%s/%s", mutant_folder, name);
    assert_int_equal(file_write_atomic(path, pieces, 3), STATUS_OK);
    free(source);
}

/* The kernel and its variant that reads texels, side by side. Includes are looked for beside the kernel first. */
static inline void mutant_compile(const char *kernel) {
    char command[1536], one[640];
    snprintf(one, sizeof one, "%s -V --target-env vulkan1.1 -I%s %s/%s.comp -o %s/%s", GLSLANG, SHADER_DIR,
             mutant_folder, kernel, mutant_folder, kernel);
    snprintf(command, sizeof command, "{ %s.texels.spv -DTEXELS & %s.spv && wait $!; } >%s/log", one, one,
             mutant_folder);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static inline void mutant_clean(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'/*", mutant_folder);
    assert_int_equal(system(command), 0);
}

static inline void mutant_plant(const struct mutant *mutant) {
    char name[128], copy[512];
    snprintf(copy, sizeof copy, "cp '%s'/*.glsl %s", SHADER_DIR, mutant_folder); /* includes may include the mistake */
    assert_int_equal(system(copy), 0);
    snprintf(name, sizeof name, "%s.comp", mutant->kernel);
    mutant_put_shader(name, mutant->file ? NULL : mutant->text, mutant->mistake);
    if (mutant->file)
        mutant_put_shader(mutant->file, mutant->text, mutant->mistake);
    mutant_compile(mutant->kernel);
}

/* For a group of tests. */
static inline int mutant_setup(void **state) {
    (void)state;
    return mkdtemp(mutant_folder) ? 0 : -1;
}

static inline int mutant_teardown(void **state) {
    (void)state;
    mutant_clean();
    return remove(mutant_folder);
}

#endif
