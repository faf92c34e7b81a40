#include "cli/reading.h"

#define OPTION(type, name, field, value, initial, help, maximum)                                                       \
    { name, type, offsetof(struct rvk_data_options, field), value, initial, help, 0, maximum }
const struct option reading_options[] = {
    OPTION(OPTION_WHOLE, "decode-threads", decode_threads, "N", "0",
           "that read and scale pictures; 0: one for each processor", 256),
    OPTION(OPTION_WHOLE, "broken", broken, "N", NULL,
           "broken pictures that are left out; one more ends the program [10, or one of a hundred]", 1000000),
    OPTION(OPTION_TEXT, "cache", cache, "thumbnails[:DIR]", NULL,
           "keep scaled pictures, in the user's cache folder or DIR", 0),
    {NULL, OPTION_FLAG, 0, NULL, NULL, NULL, 0, 0},
};

void reading_adapt(const struct cli *cli, struct rvk_data_options *reading) {
    if (args_source(&cli->args, "broken") != SOURCE_DEFAULT && reading->broken == 0)
        reading->broken = RVK_BROKEN_NONE;
}
