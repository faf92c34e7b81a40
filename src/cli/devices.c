/* devices: lists what there is to compute on. */
#include "cli/cli.h"

#include <stdlib.h>

static void print(const struct rvk_device *devices, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        char memory[32];
        printf("%u  %s\n   %s, %s%s, %s, driver %s\n", i, devices[i].name, devices[i].kind,
               *devices[i].api ? "Vulkan " : "--device cpu", devices[i].api, cli_bytes(devices[i].memory_bytes, memory),
               devices[i].driver);
        if (!devices[i].usable)
            printf("   not usable: %s\n", devices[i].why_not);
    }
}

static void print_json(const struct cli *cli, const struct rvk_device *devices, uint32_t count) {
    json_t *record = cli_record(cli, NULL), *list = json_array();
    for (uint32_t i = 0; i < count; i++) {
        json_t *device = cli_device(&devices[i]);
        json_object_set_new(device, "number", json_integer(i));
        json_object_set_new(device, "usable", json_boolean(devices[i].usable));
        json_object_set_new(device, "why_not", devices[i].usable ? json_null() : json_string(devices[i].why_not));
        json_array_append_new(list, device);
    }
    json_object_set_new(record, "devices", list);
    cli_print_json(record);
}

static enum rvk_status run(struct cli *cli) {
    struct rvk_device *devices = NULL;
    uint32_t count = 0;
    enum rvk_status status = rvk_list_devices(&devices, &count);
    if (status == RVK_OK && cli->common.json)
        print_json(cli, devices, count);
    else if (status == RVK_OK)
        print(devices, count);
    free(devices);
    return status;
}

const struct command command_devices = {
    .name = "devices",
    .summary = "lists the Vulkan devices and the CPU reference",
    .run = run,
};
