/*
 * paths: which files a command works on: its words, and lists in files.
 */
#ifndef RVK_CLI_PATHS_H
#define RVK_CLI_PATHS_H

#include "cli/cli.h"

/* Zero it first. */
struct paths {
    char **items;
    size_t count, capacity;
};

/* Adds a copy. RVK_MEMORY. */
enum rvk_status paths_add(struct paths *paths, const char *path);

/*
 * Adds every line of the file at `list` ("-": stdin); with `nul`, everything up to a zero byte. Empty ones are passed
 * over, and so is a carriage return at the end of a line. RVK_DATA, RVK_IO, RVK_MEMORY, and what stop_asked says when a
 * signal comes meanwhile.
 */
enum rvk_status paths_read(struct paths *paths, const char *list, bool nul);

/* Takes out what does not exist or cannot be looked at, with a line on stderr for each; returns how many. */
uint32_t paths_drop_missing(struct paths *paths);

void paths_destroy(struct paths *paths);

#endif
