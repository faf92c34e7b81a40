/* resnet-vk: the table of commands, help, and the way from arguments to exit code. */
#include "cli/cli.h"
#include "cli/progress.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command *const commands[] = {
    &command_train, &command_compare, &command_eval,    &command_predict, &command_verify,
    &command_bench, &command_tune,    &command_devices, &command_models,  &command_convert,
};

#define COMMON(type, name, field, value, initial, help)                                                                \
    { name, type, offsetof(struct common, field), value, initial, help, 0, 0 }
static const struct option common_options[] = {
    COMMON(OPTION_FLAG, "json", json, NULL, NULL, "stdout holds JSON only"),
    COMMON(OPTION_FLAG, "verbose", verbose, NULL, NULL, "print notes, not only warnings"),
    COMMON(OPTION_TEXT, "config", config, "FILE", NULL, "read options from lines 'name = value'"),
    COMMON(OPTION_FLAG, "print-config", print_config, NULL, NULL, "print every option, its value and its source"),
    COMMON(OPTION_FLAG, "help", help, NULL, NULL, "print this text"),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};
static const struct option device_options[] = {
    COMMON(OPTION_TEXT, "device", device, "N|NAME", NULL,
           "number from 'resnet-vk devices' or part of a name; cpu: float64, without Vulkan, slow"),
    COMMON(OPTION_TEXT, "kernels", kernels, "DIR", NULL, "folder of NAME.spv files that replace built-in kernels"),
    COMMON(OPTION_FLAG, "no-cache", no_cache, NULL, NULL, "keep no compiled pipelines in the user's cache folder"),
    COMMON(OPTION_FLAG, "no-tuned", no_tuned, NULL, NULL, "ignore what 'resnet-vk tune' measured"),
    COMMON(OPTION_FLAG, "no-self-test", no_self_test, NULL, NULL,
           "do not check kernels at their first use on a device and driver"),
    COMMON(OPTION_FLAG, "validation", validation, NULL, NULL, "load the Khronos validation layer"),
    COMMON(OPTION_LIST, "limit", limit, "NAME=VALUE,...", NULL, "believe less of the device than it offers, see below"),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};

/* ---- help ---- */

static void print_overview(FILE *file) {
    fprintf(file,
            "resnet-vk %s: trains and runs residual networks on any Vulkan device, and proves its own numbers.\n\n"
            "Usage: resnet-vk COMMAND [options]        resnet-vk COMMAND --help\n\nCommands\n",
            rvk_version());
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        fprintf(file, "  %-10s%s\n", commands[i]->name, commands[i]->summary);
    fprintf(file,
            "\nExit codes: 0 done; 1 the answer is no (a mismatch, a target not reached); 2 usage; 3 data or model\n"
            "file missing or malformed; 4 no usable device; 5 out of memory; 6 device lost; 7 numbers became\n"
            "non-finite; 8 input/output; 130 / 143 interrupted, state saved.\n");
}

/* What --limit takes, in lines of at most 104 characters. */
static void print_limits(void) {
    size_t used = 104;
    printf("\n--limit lowers some of the limits below, or all of them to what every Vulkan device must have: --limit\n"
           "minimum. Values are whole numbers, also with KiB, MiB or GiB, and on or off for features; 'resnet-vk\n"
           "devices --json' lists what a device offers.");
    for (const char *const *name = rvk_limit_names(); *name; name++) {
        size_t length = strlen(*name) + 2;
        used = used + length > 104 ? length : used + length;
        printf("%s%s%s", used == length ? "\n  " : " ", *name, name[1] ? "," : "\n");
    }
}

static void print_help(const struct command *command, const struct option_group *groups) {
    printf("resnet-vk %s: %s\n\nUsage: resnet-vk %s%s%s [options]\n", command->name, command->summary, command->name,
           command->words ? " " : "", command->words ? command->words : "");
    if (command->about)
        printf("\n%s", command->about);
    args_help(groups, stdout);
    if (command->device)
        print_limits();
    printf("\nEvery option can also be given in a --config file or as RESNET_VK_NAME in the environment; the command\n"
           "line is stronger than the environment, which is stronger than the file.\n");
}

/* ---- running ---- */

static void print_log(void *user, bool warning, const char *message) {
    const struct common *common = user;
    if (!warning && !common->verbose)
        return;
    progress_clear();
    fprintf(stderr, "resnet-vk: %s%s\n", warning ? "warning: " : "", message);
}

enum { GROUPS = 8 };

/* The command's groups, those of the device if it opens one, and those of all commands. */
static void join_groups(struct cli *cli, struct option_group groups[GROUPS]) {
    size_t count = 0;
    for (const struct option_group *group = cli->command->groups; group && group->options; group++)
        groups[count++] = *group;
    if (cli->command->device)
        groups[count++] = (struct option_group){"Device", device_options, &cli->common};
    groups[count++] = (struct option_group){"General", common_options, &cli->common};
    groups[count] = (struct option_group){NULL, NULL, NULL};
}

/* Says which device was taken, and what is believed of it other than what it offers. */
static void print_device(const struct cli *cli) {
    struct rvk_device device;
    const char *before = "limits lowered: ";
    rvk_get_device(cli->context, &device);
    fprintf(stderr, "device: %s (%s, %s%s%s%s)\n", device.name, device.kind, *device.api ? "Vulkan " : "", device.api,
            *device.api ? ", " : "", device.driver);
    for (const struct rvk_limit *limit = device.limits; limit->name; limit++)
        if (limit->value != limit->offered) {
            fprintf(stderr, "%s%s %llu (of %llu)", before, limit->name, (unsigned long long)limit->value,
                    (unsigned long long)limit->offered);
            before = ", ";
        }
    if (*before == ',')
        fputc('\n', stderr);
}

/* A plain number is meant for the images. */
static enum rvk_status check_limit(const char *text) {
    if (!text || !*text || text[strspn(text, "0123456789")])
        return RVK_OK;
    return cli_fail(RVK_USAGE,
                    "--limit takes NAME=VALUE, a limit of the device, not '%s'; how many images are used is said by "
                    "--train-limit and --test-limit of train, and --count of eval and predict",
                    text);
}

static enum rvk_status run(struct cli *cli) {
    struct rvk_open_options options = {
        .device = cli->common.device,
        .kernel_path = cli->common.kernels,
        .no_cache = cli->common.no_cache,
        .no_tuned = cli->common.no_tuned,
        .no_self_test = cli->common.no_self_test,
        .validation = cli->common.validation,
        .limits = cli->common.limit,
    };
    rvk_set_log(print_log, &cli->common);
    enum rvk_status status = check_limit(cli->common.limit);
    if (status == RVK_OK && cli->command->device)
        status = rvk_open(&options, &cli->context);
    if (cli->context && !cli->common.json)
        print_device(cli);
    if (status == RVK_OK)
        status = cli->command->run(cli);
    rvk_close(cli->context);
    rvk_set_log(NULL, NULL);
    return status;
}

static bool wants_help(int count, char *const *arguments) {
    for (int i = 0; i < count; i++)
        if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0)
            return true;
    return false;
}

static enum rvk_status run_command(const struct command *command, int count, char *const *arguments) {
    struct cli cli = {.command = command};
    struct option_group groups[GROUPS];
    join_groups(&cli, groups);
    if (wants_help(count, arguments)) {
        print_help(command, groups);
        return RVK_OK;
    }
    enum rvk_status status = (enum rvk_status)args_parse(&cli.args, groups, count, arguments, "config");
    if (status == RVK_OK && !command->words)
        status = (enum rvk_status)args_refuse_words(&cli.args);
    if (status == RVK_OK && cli.common.print_config)
        args_print(&cli.args, (const char *const[]){"config", "print-config", "help", NULL}, stdout);
    else if (status == RVK_OK)
        status = run(&cli);
    args_destroy(&cli.args);
    return status;
}

static enum rvk_status refuse(const char *name) {
    const char *names[COUNT_OF(commands) + 1] = {NULL};
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        names[i] = commands[i]->name;
    const char *near = args_nearest(name, names);
    return cli_fail(RVK_USAGE, "unknown command '%s'; %s%s%s", name, near ? "did you mean '" : "see resnet-vk --help",
                    near ? near : "", near ? "'?" : "");
}

static enum rvk_status dispatch(int count, char *const *arguments) {
    if (strcmp(arguments[0], "--version") == 0) {
        printf("resnet-vk %s\n", rvk_version());
        return RVK_OK;
    }
    if (strcmp(arguments[0], "help") == 0 || wants_help(1, arguments)) {
        print_overview(stdout);
        return RVK_OK;
    }
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (strcmp(arguments[0], commands[i]->name) == 0)
            return run_command(commands[i], count - 1, arguments + 1);
    return refuse(arguments[0]);
}

/* No file that is opened later may get the number of a stream that was closed when the program began. What is read from
 * such a stream or written to it fails. */
static void hold_streams(void) {
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++)
        if (fcntl(stream, F_GETFD) < 0 && open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) != stream)
            abort();
}

int main(int argc, char **argv) {
    hold_streams();
    signal(SIGXFSZ, SIG_IGN); /* a file over the limit of the process is an error like a full disk */
    if (argc < 2) {
        print_overview(stderr);
        return RVK_USAGE;
    }
    enum rvk_status status = dispatch(argc - 1, argv + 1);
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == RVK_OK)
        status = cli_fail(RVK_IO, "the output could not be written");
    if (status != RVK_OK)
        fprintf(stderr, "resnet-vk: %s\n", rvk_message());
    return (int)status;
}
