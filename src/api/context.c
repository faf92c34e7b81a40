/* api: status, log, devices. */
#include "api/internal.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "ir/limits.h"

#include <stdlib.h>
#include <string.h>

#define X(name, code, text) _Static_assert((int)RVK_##name == (int)STATUS_##name, "public and internal codes differ");
STATUS_LIST(X)
#undef X

enum rvk_status api_status(enum status status) {
    return (enum rvk_status)status;
}

const char *api_text(const char *text, const char *otherwise) {
    return text && *text ? text : otherwise;
}

const char *rvk_version(void) {
    return RVK_VERSION;
}

const char *rvk_message(void) {
    return status_message();
}

static void (*log_receiver)(void *user, bool warning, const char *message);

static void forward(void *user, enum log_level level, const char *message) {
    log_receiver(user, level == LOG_WARN, message);
}

void rvk_set_log(void (*log)(void *user, bool warning, const char *message), void *user) {
    log_receiver = log;
    log_set(log ? forward : NULL, user);
}

/* ---- devices ---- */

_Static_assert((int)LIMIT_COUNT < (int)RVK_LIMITS, "struct rvk_device has no room for all limits");

const char *const *rvk_limit_names(void) {
    static const char *const names[] = {
#define X(name, type, field) #name,
        LIMITS(X)
#undef X
            NULL};
    return names;
}

static struct rvk_device describe(const struct vk_description *description) {
    static const char *const kinds[] = {
        [DEVICE_OTHER] = "other",       [DEVICE_INTEGRATED] = "integrated",
        [DEVICE_DISCRETE] = "discrete", [DEVICE_VIRTUAL] = "virtual",
        [DEVICE_CPU] = "cpu",           [DEVICE_REFERENCE] = "reference",
    };
    struct rvk_device device = {.memory_bytes = description->facts.heap_bytes, .usable = description->usable};
    snprintf(device.name, sizeof device.name, "%s", description->facts.name);
    snprintf(device.driver, sizeof device.driver, "%s", description->facts.driver);
    snprintf(device.api, sizeof device.api, "%s", description->api);
    snprintf(device.kind, sizeof device.kind, "%s", kinds[description->facts.kind]);
    snprintf(device.why_not, sizeof device.why_not, "%s", description->why_not);
    for (int i = 0; i < LIMIT_COUNT && description->facts.kind != DEVICE_REFERENCE; i++)
        device.limits[i] = (struct rvk_limit){limit_table[i].name, limit_get(&limit_table[i], &description->facts),
                                              limit_get(&limit_table[i], &description->offered)};
    return device;
}

static enum status list_devices(struct rvk_device **devices, uint32_t *count) {
    struct vk_description *list;
    struct rvk_device *out;
    uint32_t found;
    TRY(vk_list(&list, &found));
    enum status status = memory_zeroed(found, sizeof *out, &out);
    for (uint32_t i = 0; status == STATUS_OK && i < found; i++)
        out[i] = describe(&list[i]);
    free(list);
    TRY(status);
    *devices = out;
    *count = found;
    return STATUS_OK;
}

enum rvk_status rvk_list_devices(struct rvk_device **devices, uint32_t *count) {
    return api_status(list_devices(devices, count));
}

static bool is_reference(const struct rvk_context *context) {
    return vk_facts(context->device)->kind == DEVICE_REFERENCE;
}

enum status api_require_kernels(const struct rvk_context *context) {
    return is_reference(context)
               ? fail(STATUS_DEVICE, "the CPU reference is what the kernels of other devices are held "
                                     "to; it has none: choose a Vulkan device")
               : STATUS_OK;
}

/* Other kernels than the embedded ones, or other limits than the device's own, are not what was measured. */
static void find_tuning(struct rvk_context *context, const struct rvk_open_options *options) {
    if (options->kernel_path || is_reference(context) || vk_lowered(context->device))
        return;
    context->tuning_path = tuning_path(vk_describe(context->device));
    if (!context->tuning_path || options->no_tuned)
        return;
    tuning_read(context->tuning_path, vk_describe(context->device), &context->tuning);
    size_t count = 0;
    for (size_t i = 0; i < context->tuning.count; i++)
        count += context->tuning.choices[i].form[0] != '\0';
    if (count)
        log_info("%zu tuned choices of %s are used", count, context->tuning_path);
}

/* As with tuning: other kernels and limits have results of their own, which are not kept. */
static void find_selftest(struct rvk_context *context, const struct rvk_open_options *options) {
    const struct vk_description *device = vk_describe(context->device);
    bool kept = !options->kernel_path && !vk_lowered(context->device);
    context->tests_itself = !options->no_self_test && !is_reference(context);
    if (context->tests_itself)
        selftest_open(&context->selftest, device, kept ? selftest_path(device) : NULL);
}

struct selftest *api_selftest(struct rvk_context *context) {
    return context->tests_itself ? &context->selftest : NULL;
}

static enum status open_context(const struct rvk_open_options *options, struct rvk_context **context) {
    char *cache = options->no_cache ? NULL : file_cache_path("pipelines");
    struct vk_options vk = {.device = options->device,
                            .kernel_path = options->kernel_path,
                            .cache_path = cache,
                            .compiles_ahead = true,
                            .validation = options->validation,
                            .limits = options->limits};
    enum status status = memory_zeroed(1, sizeof **context, context);
    if (status == STATUS_OK)
        status = vk_open(&vk, &(*context)->device);
    if (status == STATUS_OK) {
        find_tuning(*context, options);
        find_selftest(*context, options);
    }
    free(cache);
    return status;
}

enum rvk_status rvk_open(const struct rvk_open_options *options, struct rvk_context **context) {
    static const struct rvk_open_options defaults;
    *context = NULL;
    enum status status = open_context(options ? options : &defaults, context);
    if (status != STATUS_OK) {
        rvk_close(*context);
        *context = NULL;
    }
    return api_status(status);
}

void rvk_close(struct rvk_context *context) {
    if (!context)
        return;
    if (context->device)
        vk_save_cache(context->device);
    vk_close(context->device);
    tuning_destroy(&context->tuning);
    free(context->tuning_path);
    selftest_destroy(&context->selftest);
    free(context);
}

void rvk_get_device(const struct rvk_context *context, struct rvk_device *device) {
    *device = describe(vk_describe(context->device));
}

struct rvk_counters api_counters(const struct vk_counters *counters) {
    return (struct rvk_counters){
        .allocations = counters->allocations,
        .pipelines = counters->pipelines,
        .recordings = counters->recordings,
        .submissions = counters->submissions,
        .validation_messages = counters->validation_messages,
        .device_bytes = counters->device_bytes,
    };
}

struct rvk_counters rvk_get_counters(const struct rvk_context *context) {
    struct vk_counters counters = vk_counters(context->device);
    return api_counters(&counters);
}

/* ---- profile ---- */

void api_profile(const struct profile *profile,
                 void (*report)(void *user, const struct rvk_profile_row *rows, uint32_t count), void *user) {
    struct rvk_profile_row rows[PROFILE_ROWS];
    for (uint32_t i = 0; i < profile->count; i++)
        rows[i] = (struct rvk_profile_row){profile->rows[i].op, profile->rows[i].dispatches, profile->rows[i].ms,
                                           profile->rows[i].share, profile->rows[i].gflops};
    if (report)
        report(user, rows, profile->count);
}
