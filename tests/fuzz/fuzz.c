#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], path[128];

static void stop(const char *why) {
    fprintf(stderr, "fuzz: %s: %s\n", why, status_message());
    abort();
}

static void remove_folder(void) {
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0)
        fprintf(stderr, "%s was not removed\n", folder);
}

const char *fuzz_folder(void) {
    if (*folder)
        return folder;
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/resnet-vk-fuzz-XXXXXX", parent);
    if (!mkdtemp(folder))
        stop("there is no folder for files");
    atexit(remove_folder);
    return folder;
}

const char *fuzz_file(const char *name, const uint8_t *bytes, size_t size) {
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (descriptor < 0 || write(descriptor, bytes, size) != (ssize_t)size)
        stop("a file cannot be written");
    close(descriptor);
    return path;
}

void fuzz_answer(enum status status) {
    if (status == STATUS_OK || status == STATUS_MISMATCH)
        return;
    const char *message = status_message();
    if (status != STATUS_USAGE && status != STATUS_DATA && status != STATUS_IO)
        stop("the bytes are not refused for what they are");
    if (!*message)
        stop("a refusal without a sentence");
    for (; *message; message++)
        if ((unsigned char)*message < ' ' || *message == 0x7f)
            stop("a sentence with control characters");
}

struct vk_device *fuzz_device(void) {
    static struct vk_device *device;
    if (!device && vk_open(&(struct vk_options){.device = "cpu"}, &device) != STATUS_OK)
        stop("the CPU reference cannot be opened");
    return device;
}

uint8_t *fuzz_safetensors(const uint8_t *bytes, size_t size, size_t *file_size) {
    bool text = size && bytes[0] == '{';
    const uint8_t *line_end = text ? memchr(bytes, '\n', size) : NULL;
    uint64_t length = line_end ? (uint64_t)(line_end - bytes) : size;
    uint8_t *file = malloc(size + sizeof length);
    if (!file)
        stop("out of memory");
    memcpy(file, &length, sizeof length);
    *file_size = size + (text ? sizeof length - (line_end != NULL) : 0);
    if (!text) {
        memcpy(file, bytes, size);
        return file;
    }
    memcpy(file + sizeof length, bytes, length);
    if (line_end)
        memcpy(file + sizeof length + length, line_end + 1, size - length - 1);
    return file;
}
