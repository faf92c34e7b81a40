#include "train/run_log.h"

#include "base/log.h"
#include "ir/limits.h"
#include "train/curve.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Makes `path` and the folders above it. */
static enum status make_folder(const char *path) {
    char part[sizeof((struct run_log *)0)->folder];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return fail(STATUS_IO, "%s: cannot make this folder: %s", part, strerror(errno));
        *slash = '/';
    }
    if (mkdir(part, 0777) != 0 && errno != EEXIST)
        return fail(STATUS_IO, "%s: cannot make this folder: %s", part, strerror(errno));
    return STATUS_OK;
}

/* Removes the last line if it has no end: a crash or a full disk cut it off. Leaves the position at the end. */
static void drop_cut_line(FILE *file) {
    long end = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : 0, keep = end;
    while (keep > 0 && fseek(file, keep - 1, SEEK_SET) == 0 && fgetc(file) != '\n')
        keep--;
    if (keep < end && ftruncate(fileno(file), keep) != 0)
        log_warn("a line that was cut off stays in the log: %s", strerror(errno));
    fseek(file, 0, SEEK_END);
}

static enum status open_file(const char *folder, const char *name, bool fresh, FILE **file) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    *file = fopen(path, fresh ? "w" : "a+");
    if (!*file)
        return fail(STATUS_IO, "%s: %s", path, strerror(errno));
    if (!fresh)
        drop_cut_line(*file);
    return STATUS_OK;
}

enum status run_log_open(struct run_log *log, const char *folder, bool fresh) {
    *log = (struct run_log){0};
    if (!folder)
        return STATUS_OK;
    if (strlen(folder) >= sizeof log->folder)
        return fail(STATUS_USAGE, "the name of the output folder is longer than %zu bytes", sizeof log->folder - 1);
    snprintf(log->folder, sizeof log->folder, "%s", folder);
    TRY(make_folder(folder));
    TRY(open_file(folder, "log.jsonl", fresh, &log->lines));
    TRY(open_file(folder, "log.csv", fresh, &log->table));
    if (ftell(log->table) == 0)
        fputs("epoch,step,learning_rate,train_loss,train_accuracy,validation_loss,validation_accuracy,seconds,"
              "images_per_second,best\n",
              log->table);
    return STATUS_OK;
}

void run_log_close(struct run_log *log) {
    if (log->lines)
        fclose(log->lines);
    if (log->table)
        fclose(log->table);
    *log = (struct run_log){0};
}

static enum status flush(struct run_log *log, FILE *file) {
    if (fflush(file) == 0 && !ferror(file))
        return STATUS_OK;
    return fail(STATUS_IO, "%s/%s: %s", log->folder, file == log->table ? "log.csv" : "log.jsonl", strerror(errno));
}

/* Writes and frees `line`. */
static enum status write_line(struct run_log *log, json_t *line) {
    if (!line)
        return fail(STATUS_MEMORY, "out of memory for a line of the log");
    json_dumpf(line, log->lines, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(line);
    fputc('\n', log->lines);
    return flush(log, log->lines);
}

enum status run_log_start(struct run_log *log, const struct vk_device *device, const struct trainer_run *run,
                          const char *record) {
    if (!log->lines)
        return STATUS_OK;
    char now[32];
    time_t seconds = time(NULL);
    struct tm utc;
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
    const struct vk_description *description = vk_describe(device);
    json_t *options = record ? json_loads(record, 0, NULL) : json_object();
    char lowered[1024];
    limits_print(&description->offered, &description->facts, lowered, sizeof lowered);
    return write_line(
        log, json_pack("{s:s, s:i, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:s, s:s, s:s, s:s}, s:o}", "event",
                       run->resumed_epoch || run->resumed_step ? "resume" : "start", "schema", 1, "version",
                       RVK_VERSION, "time", now, "model", run->model->name, "trainable",
                       (json_int_t)run->model->trainable, "train_images", (json_int_t)run->train_images,
                       "validation_images", (json_int_t)run->validation_images, "steps", (json_int_t)run->steps,
                       "epoch", (json_int_t)run->resumed_epoch, "step", (json_int_t)run->resumed_step, "device", "name",
                       description->facts.name, "driver", description->facts.driver, "api", description->api,
                       "lowered_limits", lowered, "options", options));
}

enum status run_log_part(struct run_log *log, double epochs, uint64_t step, double loss, double accuracy) {
    if (!log->lines)
        return STATUS_OK;
    return write_line(log, json_pack("{s:s, s:f, s:I, s:f, s:f}", "event", "part", "epochs", epochs, "step",
                                     (json_int_t)step, "train_loss", loss, "train_accuracy", accuracy));
}

static json_t *pack_hash(uint64_t hash) {
    return json_sprintf("%016llx", (unsigned long long)hash);
}

enum status run_log_epoch(struct run_log *log, const struct trainer_epoch *epoch) {
    if (!log->lines)
        return STATUS_OK;
    fprintf(log->table, "%u,%llu,%.9g,%.9g,%.9g,", epoch->epoch, (unsigned long long)epoch->step, epoch->learning_rate,
            epoch->train_loss, epoch->train_accuracy);
    if (epoch->validated)
        fprintf(log->table, "%.9g,%.9g", epoch->validation_loss, epoch->validation_accuracy);
    else
        fputc(',', log->table);
    fprintf(log->table, ",%.3f,%.1f,%d\n", epoch->seconds, epoch->images_per_second, epoch->best);
    TRY(flush(log, log->table));
    json_t *line =
        json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:b, s:o}", "event", "epoch", "epoch",
                  (json_int_t)epoch->epoch, "step", (json_int_t)epoch->step, "learning_rate", epoch->learning_rate,
                  "train_loss", epoch->train_loss, "train_accuracy", epoch->train_accuracy, "seconds", epoch->seconds,
                  "images_per_second", epoch->images_per_second, "waited", epoch->waited, "best", epoch->best,
                  "weights_hash", pack_hash(epoch->weights_hash));
    if (line && epoch->validated) {
        json_object_set_new(line, "validation_loss", json_real(epoch->validation_loss));
        json_object_set_new(line, "validation_accuracy", json_real(epoch->validation_accuracy));
    }
    TRY(write_line(log, line));
    return curve_write(log->folder);
}

enum status run_log_lost(struct run_log *log, const char *message) {
    if (!log->lines)
        return STATUS_OK;
    return write_line(log, json_pack("{s:s, s:s}", "event", "lost", "message", message));
}

enum status run_log_stop(struct run_log *log, uint64_t step, uint64_t weights_hash) {
    if (!log->lines)
        return STATUS_OK;
    return write_line(log, json_pack("{s:s, s:I, s:o}", "event", "stop", "step", (json_int_t)step, "weights_hash",
                                     pack_hash(weights_hash)));
}

enum status run_log_test(struct run_log *log, double loss, double accuracy) {
    if (!log->lines)
        return STATUS_OK;
    TRY(write_line(log, json_pack("{s:s, s:f, s:f}", "event", "test", "test_loss", loss, "test_accuracy", accuracy)));
    return curve_write(log->folder);
}
