/* kernel: pipelines of the embedded SPIR-V modules, or of the files that replace them. */
#include "vk/internal.h"

#include "base/file.h"
#include "base/memory.h"
#include "vk/kernel_table.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONSTANTS_MOST = 64, THREADS_MOST = 16 };

/* ---- modules ---- */

/* False when the path does not fit: such a file is not looked for. */
static bool file_name(const struct vk_device *device, const char *name, char *path, size_t size) {
    if (!device->kernel_path)
        return false;
    int length = snprintf(path, size, "%s/%s.spv", device->kernel_path, name);
    return length > 0 && (size_t)length < size;
}

static const struct kernel_module *embedded(const char *name) {
    for (const struct kernel_module *module = kernel_table; module->name; module++)
        if (strcmp(module->name, name) == 0)
            return module;
    return NULL;
}

bool vk_kernel_exists(const struct vk_device *device, const char *name) {
    char path[4096];
    return (file_name(device, name, path, sizeof path) && file_exists(path)) || embedded(name);
}

static enum status load(const struct vk_device *device, const char *name, struct module *module) {
    enum { LIMIT = 1 << 24 };
    char path[4096];
    if (file_name(device, name, path, sizeof path) && file_exists(path)) {
        size_t bytes;
        TRY(file_read(path, LIMIT, &module->owned, &bytes));
        module->words = (const uint32_t *)(void *)module->owned; /* as malloc aligned it */
        module->count = bytes / 4;
        return bytes % 4 ? fail(STATUS_DATA, "%s is no SPIR-V module: %zu bytes are not a multiple of 4", path, bytes)
                         : STATUS_OK;
    }
    const struct kernel_module *found = embedded(name);
    if (!found)
        return fail(STATUS_USAGE, "there is no kernel of this name");
    module->words = found->words;
    module->count = found->bytes / 4;
    return STATUS_OK;
}

static void forget_module(struct vk_kernel *kernel) {
    free(kernel->module.owned);
    kernel->module = (struct module){0};
}

/* ---- limits ---- */

/* `name` is Vulkan's for the limit. */
static enum status over(const char *what, uint64_t needed, uint64_t limit, const char *name) {
    return fail(STATUS_MEMORY, "it needs %llu %s, the device has %llu (%s)", (unsigned long long)needed, what,
                (unsigned long long)limit, name);
}

/* Numbers of the SPIR-V specification, section 3.31, and what a device must offer for them. */
static enum status check_capability(const struct device_facts *facts, uint32_t number) {
    const struct {
        uint32_t number;
        bool offered;
        const char *name;
    } capabilities[] = {
        {1, true, "Shader"},
        {9, facts->float16, "Float16"},
        {11, facts->int64, "Int64"},
        {22, facts->int16, "Int16"},
        {46, true, "SampledBuffer"},
        {47, true, "ImageBuffer"},
        {61, true, "GroupNonUniform"},
        {65, facts->subgroup_shuffle, "GroupNonUniformShuffle"},
        {4433, facts->storage16, "StorageBuffer16BitAccess"},
    };
    for (size_t i = 0; i < COUNT(capabilities); i++)
        if (capabilities[i].number == number)
            return capabilities[i].offered ? STATUS_OK
                                           : fail(STATUS_DEVICE, "it needs the capability %s, which %s does not have",
                                                  capabilities[i].name, facts->name);
    return fail(STATUS_DEVICE, "it needs the capability of number %u in SPIR-V, which no kernel may use here", number);
}

static enum status check_subgroups(const struct device_facts *facts, uint32_t size) {
    bool possible = size == 0 || size == facts->subgroup_size ||
                    (facts->size_control && facts->least_subgroup <= size && size <= facts->most_subgroup);
    return possible ? STATUS_OK
                    : fail(STATUS_DEVICE, "it needs subgroups of %u invocations, those of %s have %u (subgroupSize)",
                           size, facts->name, facts->subgroup_size);
}

static enum status check_limits(const struct device_facts *facts, const struct reflection *reflection) {
    const struct vk_interface *interface = &reflection->interface;
    uint64_t invocations = 1;
    for (uint32_t i = 0; i < 3; i++) {
        if (interface->group_size[i] > facts->max_group_size[i])
            return over("invocations along one axis of a workgroup", interface->group_size[i], facts->max_group_size[i],
                        "maxComputeWorkGroupSize");
        invocations *= interface->group_size[i]; /* at most 2^32 times the last limit */
        if (invocations > facts->max_invocations)
            return over("invocations in a workgroup", invocations, facts->max_invocations,
                        "maxComputeWorkGroupInvocations");
    }
    uint32_t buffers = 0, texels = 0;
    for (uint32_t i = 0; i < interface->binding_count; i++) {
        buffers += reflection->kinds[i] == BINDING_STORAGE;
        texels += reflection->kinds[i] == BINDING_STORAGE_TEXELS;
    }
    if (interface->shared_bytes > facts->max_shared_bytes)
        return over("bytes of shared memory", interface->shared_bytes, facts->max_shared_bytes,
                    "maxComputeSharedMemorySize");
    if (interface->push_bytes > facts->max_push_bytes)
        return over("bytes of push constants", interface->push_bytes, facts->max_push_bytes, "maxPushConstantsSize");
    if (buffers > facts->max_storage_buffers)
        return over("storage buffers", buffers, facts->max_storage_buffers, "maxPerStageDescriptorStorageBuffers");
    if (texels > facts->max_storage_texels)
        return over("storage texel buffers", texels, facts->max_storage_texels, "maxPerStageDescriptorStorageImages");
    return STATUS_OK;
}

/* ---- pipelines ---- */

VkDescriptorType kernel_descriptor_type(enum binding_kind kind) {
    switch (kind) {
    case BINDING_STORAGE_TEXELS:
        return VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER;
    case BINDING_UNIFORM_TEXELS:
        return VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER;
    default:
        return VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    }
}

static enum status create_layout(struct vk_device *device, struct vk_kernel *kernel) {
    const struct vk_interface *interface = &kernel->reflection.interface;
    VkDescriptorSetLayoutBinding bindings[VK_BINDINGS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < interface->binding_count; i++)
        if (kernel->reflection.kinds[i] != BINDING_UNUSED)
            bindings[count++] =
                (VkDescriptorSetLayoutBinding){.binding = i,
                                               .descriptorType = kernel_descriptor_type(kernel->reflection.kinds[i]),
                                               .descriptorCount = 1,
                                               .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    VkDescriptorSetLayoutCreateInfo set = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = count, .pBindings = bindings};
    VkResult result = vk_call.CreateDescriptorSetLayout(device->handle, &set, NULL, &kernel->set_layout);
    if (result != VK_SUCCESS) {
        kernel->set_layout = VK_NULL_HANDLE;
        return device_fail(device, result, "creating a descriptor set layout");
    }
    VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = interface->push_bytes};
    VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                         .setLayoutCount = 1,
                                         .pSetLayouts = &kernel->set_layout,
                                         .pushConstantRangeCount = interface->push_bytes > 0,
                                         .pPushConstantRanges = &push};
    result = vk_call.CreatePipelineLayout(device->handle, &layout, NULL, &kernel->layout);
    if (result != VK_SUCCESS) {
        kernel->layout = VK_NULL_HANDLE;
        return device_fail(device, result, "creating a pipeline layout");
    }
    return STATUS_OK;
}

/*
 * A kernel that asks for a subgroup size, or has subgroup operations, and whose workgroup is made of whole subgroups,
 * gets full ones of that size (the facts' size), where the device can promise it.
 */
static void pin_subgroups(const struct vk_device *device, struct vk_kernel *kernel) {
    struct reflection *reflection = &kernel->reflection;
    uint32_t subgroup = kernel->subgroup_size ? kernel->subgroup_size : vk_facts(device)->subgroup_size;
    const struct device_facts *facts = vk_facts(device);
    kernel->full_subgroups = facts->size_control && (reflection->uses_subgroups || kernel->subgroup_size) &&
                             reflection->interface.group_size[0] % subgroup == 0;
    if (kernel->full_subgroups && facts->least_subgroup <= subgroup && subgroup <= facts->most_subgroup)
        reflection->interface.subgroup_size = subgroup;
}

/* On any thread. */
static VkResult create_pipeline(const struct vk_device *device, struct vk_kernel *kernel, VkShaderModule module) {
    VkSpecializationMapEntry entries[CONSTANTS_MOST];
    for (uint32_t i = 0; i < kernel->constant_count; i++)
        entries[i] = (VkSpecializationMapEntry){.constantID = i, .offset = 4 * i, .size = 4};
    VkSpecializationInfo specialization = {.mapEntryCount = kernel->constant_count,
                                           .pMapEntries = entries,
                                           .dataSize = kernel->constant_count * sizeof *kernel->constants,
                                           .pData = kernel->constants};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT,
        .requiredSubgroupSize = kernel->reflection.interface.subgroup_size};
    VkComputePipelineCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
                                        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                                                  .module = module,
                                                  .pName = kernel->reflection.entry,
                                                  .pSpecializationInfo = &specialization},
                                        .layout = kernel->layout};
    if (kernel->full_subgroups)
        info.stage.flags |= VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT;
    if (size.requiredSubgroupSize)
        info.stage.pNext = &size;
    VkResult result = vk_call.CreateComputePipelines(device->handle, device->cache, 1, &info, NULL, &kernel->pipeline);
    if (result != VK_SUCCESS)
        kernel->pipeline = VK_NULL_HANDLE;
    return result;
}

/* On any thread. */
static VkResult compile(const struct vk_device *device, struct vk_kernel *kernel) {
    kernel->tried = true;
    VkShaderModuleCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                     .codeSize = kernel->module.count * 4,
                                     .pCode = kernel->module.words};
    VkShaderModule handle;
    VkResult result = vk_call.CreateShaderModule(device->handle, &info, NULL, &handle);
    if (result != VK_SUCCESS)
        return result;
    result = create_pipeline(device, kernel, handle);
    vk_call.DestroyShaderModule(device->handle, handle, NULL);
    if (result == VK_SUCCESS)
        forget_module(kernel);
    return result;
}

/* Kernels that several threads compile: each takes the next one. */
struct compilation {
    const struct vk_device *device;
    struct vk_kernel **kernels;
    size_t count;
    atomic_size_t next;
};

static void *compile_some(void *argument) {
    struct compilation *work = argument;
    for (size_t i; (i = atomic_fetch_add(&work->next, 1)) < work->count;)
        (void)compile(work->device, work->kernels[i]);
    return NULL;
}

static void compile_listed(struct compilation *work) {
    pthread_t threads[THREADS_MOST];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t wanted = MIN(MIN(work->count, (size_t)MAX(processors, 1)), THREADS_MOST), started = 0;
    while (started + 1 < wanted && pthread_create(&threads[started], NULL, compile_some, work) == 0)
        started++;
    compile_some(work);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

void vk_kernels_compile(struct vk_device *device) {
    struct compilation work = {.device = device};
    atomic_init(&work.next, 0);
    if (memory_zeroed(device->kernel_count, sizeof *work.kernels, &work.kernels) != STATUS_OK)
        return;
    for (size_t i = 0; i < device->kernel_count; i++)
        if (!device->kernels[i]->tried)
            work.kernels[work.count++] = device->kernels[i];
    compile_listed(&work);
    for (size_t i = 0; i < work.count; i++)
        device->counters.pipelines += work.kernels[i]->pipeline != VK_NULL_HANDLE;
    ahead_add(device, work.kernels, work.count);
    free(work.kernels);
}

enum status kernel_require(struct vk_device *device, struct vk_kernel *kernel) {
    if (kernel->pipeline)
        return STATUS_OK;
    VkResult result = compile(device, kernel);
    if (result != VK_SUCCESS)
        return device_fail(device, result, "compiling");
    device->counters.pipelines++;
    return STATUS_OK;
}

/* ---- kernels ---- */

static enum status prepare(struct vk_device *device, struct vk_kernel *kernel) {
    struct module *module = &kernel->module;
    if (kernel->constant_count > CONSTANTS_MOST)
        return fail(STATUS_USAGE, "%u specialization constants: at most %d", kernel->constant_count, CONSTANTS_MOST);
    TRY(load(device, kernel->name, module));
    TRY(reflect_module(module->words, module->count, kernel->constants, kernel->constant_count, &kernel->reflection));
    for (uint32_t i = 0; i < kernel->reflection.capability_count; i++)
        TRY(check_capability(vk_facts(device), kernel->reflection.capabilities[i]));
    TRY(check_subgroups(vk_facts(device), kernel->subgroup_size));
    TRY(check_limits(vk_facts(device), &kernel->reflection));
    pin_subgroups(device, kernel);
    return create_layout(device, kernel);
}

static enum status create(struct vk_device *device, const char *name, const uint32_t *constants, uint32_t count,
                          uint32_t subgroup_size, struct vk_kernel *kernel) {
    TRY(memory_zeroed(strlen(name) + 1, 1, &kernel->name));
    strcpy(kernel->name, name);
    TRY(memory_zeroed(count, sizeof *constants, &kernel->constants));
    if (count)
        memcpy(kernel->constants, constants, count * sizeof *constants);
    kernel->constant_count = count;
    kernel->subgroup_size = subgroup_size;
    enum status status = prepare(device, kernel);
    return status == STATUS_OK ? status : fail_prefix(status, "kernel %s", name);
}

enum status vk_kernel_get(struct vk_device *device, const char *name, const uint32_t *constants, uint32_t count,
                          uint32_t subgroup_size, struct vk_kernel **out) {
    *out = NULL;
    if (device_is_host(device))
        return host_refuse("kernels");
    for (size_t i = 0; i < device->kernel_count; i++) {
        struct vk_kernel *kernel = device->kernels[i];
        if (kernel->constant_count == count && kernel->subgroup_size == subgroup_size &&
            strcmp(kernel->name, name) == 0 &&
            (count == 0 || memcmp(kernel->constants, constants, count * sizeof *constants) == 0)) {
            *out = kernel;
            return STATUS_OK;
        }
    }
    TRY(memory_grow(&device->kernels, &device->kernel_capacity, device->kernel_count + 1, sizeof(void *)));
    struct vk_kernel *kernel;
    TRY(memory_zeroed(1, sizeof *kernel, &kernel));
    enum status status = create(device, name, constants, count, subgroup_size, kernel);
    if (status != STATUS_OK) {
        kernel_destroy(device, kernel);
        return status;
    }
    device->kernels[device->kernel_count++] = kernel;
    *out = kernel;
    return STATUS_OK;
}

void kernel_destroy(struct vk_device *device, struct vk_kernel *kernel) {
    if (queue_idle(device)) {
        vk_call.DestroyPipeline(device->handle, kernel->pipeline, NULL);
        vk_call.DestroyPipelineLayout(device->handle, kernel->layout, NULL);
        vk_call.DestroyDescriptorSetLayout(device->handle, kernel->set_layout, NULL);
    }
    forget_module(kernel);
    free(kernel->constants);
    free(kernel->name);
    free(kernel);
}

const struct vk_interface *vk_kernel_interface(const struct vk_kernel *kernel) {
    return &kernel->reflection.interface;
}
