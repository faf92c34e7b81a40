/*
 * ahead: compiles kernels in the background, for drivers that compile a kernel when it is dispatched first.
 *
 * Mesa's llvmpipe does so, one kernel after the other on the thread of its queue, and keeps the result in its own cache
 * on disk. A second logical device dispatches the kernels too, the last ones first and without any workgroups: when the
 * first device comes to them, it finds them there. Failures are nobody's concern: the first device then compiles.
 */
#include "vk/internal.h"

#include "base/clock.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Mesa compiles for a buffer whose size is a power of two, or for one of another size, as large ones are. */
enum { RANGE_BYTES = 4096, BUFFER_BYTES = RANGE_BYTES + RANGE_ALIGNMENT };
/* What takes less was in the driver's cache; after so many of them the rest is believed to be there too. */
enum { CACHED_NS = 8000000, CACHED_MOST = 3 };
/* Of fewer kernels the first device has reached the last one before the second is ready. */
enum { KERNELS_LEAST = 4 };
enum { PUSH_WORDS = 64 }; /* more than kernels have */

struct ahead {
    struct vk_device *twin;
    struct vk_commands *commands;
    struct vk_buffer *buffer; /* for every binding */
    pthread_t thread;
    pthread_mutex_t mutex; /* for all that follows */
    pthread_cond_t changed;
    bool stop;
    struct vk_kernel **kernels; /* still to be compiled, from the last one on */
    size_t count, capacity;
};

/* A dispatch without workgroups. *ns: how long the driver took. */
static enum status dispatch(struct ahead *ahead, const struct vk_kernel *like, uint64_t *ns) {
    static const uint32_t push[PUSH_WORDS], groups[3];
    struct vk_range ranges[VK_BINDINGS];
    struct vk_kernel *kernel;
    uint64_t ticket;
    TRY(vk_kernel_get(ahead->twin, like->name, like->constants, like->constant_count, like->subgroup_size, &kernel));
    const struct vk_interface *interface = vk_kernel_interface(kernel);
    if (interface->push_bytes > sizeof push)
        return fail(STATUS_USAGE, "%u bytes of push constants: at most %zu", interface->push_bytes, sizeof push);
    for (uint32_t i = 0; i < interface->binding_count; i++)
        ranges[i] = (struct vk_range){.buffer = ahead->buffer, .bytes = RANGE_BYTES};
    TRY(vk_begin(ahead->commands));
    TRY(vk_record_dispatch(ahead->commands, kernel, ranges, interface->binding_count, push, interface->push_bytes / 4,
                           groups));
    TRY(vk_end(ahead->commands));
    uint64_t start_ns = clock_ns();
    TRY(vk_submit(ahead->twin, &ahead->commands, 1, &ticket));
    TRY(vk_wait(ahead->twin, ticket));
    *ns = clock_ns() - start_ns;
    return STATUS_OK;
}

/* Until it is to stop. */
static void *compile_listed(void *argument) {
    struct ahead *ahead = argument;
    uint32_t cached = 0;
    pthread_mutex_lock(&ahead->mutex);
    while (!ahead->stop) {
        if (ahead->count == 0) {
            cached = 0;
            pthread_cond_wait(&ahead->changed, &ahead->mutex);
            continue;
        }
        const struct vk_kernel *kernel = ahead->kernels[--ahead->count];
        pthread_mutex_unlock(&ahead->mutex);
        uint64_t ns = 0;
        bool compiled = dispatch(ahead, kernel, &ns) == STATUS_OK;
        cached = ns < CACHED_NS ? cached + 1 : 0;
        pthread_mutex_lock(&ahead->mutex);
        if (!compiled || cached == CACHED_MOST)
            ahead->count = 0;
    }
    pthread_mutex_unlock(&ahead->mutex);
    return NULL;
}

static bool helps(const struct vk_device *device) {
    return device->compiles_ahead && vk_facts(device)->kind == DEVICE_CPU &&
           strstr(vk_facts(device)->driver, "llvmpipe") && sysconf(_SC_NPROCESSORS_ONLN) > 1;
}

static void destroy(struct ahead *ahead) {
    vk_buffer_destroy(ahead->buffer);
    vk_commands_destroy(ahead->commands);
    device_close_twin(ahead->twin);
    free(ahead->kernels);
    free(ahead);
}

static enum status start(const struct vk_device *device, struct ahead *ahead) {
    pthread_mutex_init(&ahead->mutex, NULL);
    pthread_cond_init(&ahead->changed, NULL);
    TRY(device_open_twin(device, &ahead->twin));
    TRY(vk_commands_create(ahead->twin, &ahead->commands));
    TRY(vk_buffer_create(ahead->twin, VK_MEMORY_DEVICE, BUFFER_BYTES, &ahead->buffer));
    return pthread_create(&ahead->thread, NULL, compile_listed, ahead) == 0 ? STATUS_OK
                                                                            : fail(STATUS_MEMORY, "no thread");
}

/* NULL: it could not be started. */
static struct ahead *create(const struct vk_device *device) {
    struct ahead *ahead;
    if (memory_zeroed(1, sizeof *ahead, &ahead) != STATUS_OK)
        return NULL;
    if (start(device, ahead) == STATUS_OK)
        return ahead;
    destroy(ahead);
    return NULL;
}

void ahead_add(struct vk_device *device, struct vk_kernel *const *kernels, size_t count) {
    if (count < KERNELS_LEAST || !helps(device))
        return;
    struct ahead *ahead = device->ahead = device->ahead ? device->ahead : create(device);
    if (!ahead)
        return;
    pthread_mutex_lock(&ahead->mutex);
    if (memory_grow(&ahead->kernels, &ahead->capacity, ahead->count + count, sizeof *kernels) == STATUS_OK)
        for (size_t i = 0; i < count; i++)
            ahead->kernels[ahead->count++] = kernels[i];
    pthread_cond_signal(&ahead->changed);
    pthread_mutex_unlock(&ahead->mutex);
}

void ahead_stop(struct vk_device *device) {
    struct ahead *ahead = device->ahead;
    if (!ahead)
        return;
    pthread_mutex_lock(&ahead->mutex);
    ahead->stop = true;
    pthread_cond_signal(&ahead->changed);
    pthread_mutex_unlock(&ahead->mutex);
    pthread_join(ahead->thread, NULL);
    destroy(ahead);
    device->ahead = NULL;
}
