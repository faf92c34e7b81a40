/* folder: a folder of a test program's own: group set-up and tear-down. */
#ifndef RVK_TEST_FOLDER_H
#define RVK_TEST_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[] = "/tmp/resnet-vk-test-XXXXXX";

/* The path of a file in it; the last eight are kept. */
static inline const char *in_folder(const char *name) {
    static char paths[8][160];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static inline int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state) {
    char line[64];
    (void)state;
    snprintf(line, sizeof line, "rm -r %s", folder);
    return system(line);
}

#endif
