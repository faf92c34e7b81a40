#include "cli/paths.h"
#include "cli/stop.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum rvk_status paths_add(struct paths *paths, const char *path) {
    enum status status = memory_grow(&paths->items, &paths->capacity, paths->count + 1, sizeof *paths->items);
    if (status != STATUS_OK)
        return (enum rvk_status)status;
    char *copy = strdup(path);
    if (!copy)
        return cli_fail(RVK_MEMORY, "out of host memory for a list of files");
    paths->items[paths->count++] = copy;
    return RVK_OK;
}

struct line {
    char *text;
    size_t length, room;
};

/* Reads up to the delimiter, a zero byte or the end; returns which of them it was, EOF also after a failure. */
static int read_line(FILE *file, int delimiter, struct line *line, enum rvk_status *status) {
    int c;
    for (line->length = 0; (c = getc_unlocked(file)) != delimiter && c > 0; line->text[line->length++] = (char)c)
        if ((*status = (enum rvk_status)memory_grow(&line->text, &line->room, line->length + 2, 1)) != RVK_OK)
            return EOF;
    if (delimiter == '\n' && line->length && line->text[line->length - 1] == '\r')
        line->length--;
    if (line->length)
        line->text[line->length] = 0;
    return c;
}

static enum rvk_status read_lines(struct paths *paths, FILE *file, const char *name, int delimiter) {
    enum rvk_status status = RVK_OK;
    struct line line = {NULL, 0, 0};
    for (int end = delimiter; status == RVK_OK && end == delimiter && stop_asked() == RVK_OK;) {
        end = read_line(file, delimiter, &line, &status);
        if (status == RVK_OK && end == 0 && delimiter != 0)
            status = cli_fail(RVK_DATA, "%s holds a zero byte: lists whose names end with one need --null", name);
        else if (status == RVK_OK && line.length)
            status = paths_add(paths, line.text);
    }
    if (status == RVK_OK && stop_asked() != RVK_OK)
        status = cli_fail(stop_asked(), "stopped while %s was read", name);
    else if (status == RVK_OK && ferror(file))
        status = cli_fail(RVK_IO, "%s: %s", name, strerror(errno));
    free(line.text);
    return status;
}

enum rvk_status paths_read(struct paths *paths, const char *list, bool nul) {
    bool is_stdin = strcmp(list, "-") == 0;
    FILE *file = is_stdin ? stdin : file_open(list);
    if (!file)
        return cli_fail(RVK_DATA, "%s: %s", list, strerror(errno));
    enum rvk_status status = read_lines(paths, file, is_stdin ? "standard input" : list, nul ? 0 : '\n');
    if (!is_stdin)
        fclose(file);
    return status;
}

uint32_t paths_drop_missing(struct paths *paths) {
    uint32_t missing = 0;
    size_t kept = 0;
    for (size_t i = 0; i < paths->count; i++) {
        struct stat found;
        if (stat(paths->items[i], &found) == 0) {
            paths->items[kept++] = paths->items[i];
            continue;
        }
        fputs("resnet-vk: warning: ", stderr);
        text_print(stderr, paths->items[i]);
        fprintf(stderr, ": %s\n", strerror(errno));
        free(paths->items[i]);
        missing++;
    }
    paths->count = kept;
    return missing;
}

void paths_destroy(struct paths *paths) {
    for (size_t i = 0; i < paths->count; i++)
        free(paths->items[i]);
    free(paths->items);
    *paths = (struct paths){0};
}
