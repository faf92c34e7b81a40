/*
 * make_corpus: the inputs that the fuzzers start from and that are not text: small, sound files of each format.
 *   make_corpus FOLDER       (writes FOLDER/idx/..., FOLDER/checkpoint/..., ...)
 */
#include "../torch_writer.h"
#include "api/internal.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/thumbnails.h"
#include "train/parameters.h"
#include "train/trainer_internal.h"
#include "vk/internal.h"
#include "vk/kernel_table.h"

#include <archive.h>
#include <archive_entry.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

static const char *folder;

static void must(enum status status) {
    if (status == STATUS_OK)
        return;
    fprintf(stderr, "make_corpus: %s\n", status_message());
    exit(1);
}

/* FOLDER/TARGET/NAME; the folders are made. */
static const char *path_of(const char *target, const char *name) {
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, target);
    mkdir(folder, 0777);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%s", folder, target, name);
    return path;
}

static void put(const char *target, const char *name, const void *bytes, size_t size) {
    must(file_write_atomic(path_of(target, name), &(struct file_piece){bytes, size}, 1));
}

static void put_after(const char *target, const char *name, uint8_t first, const void *bytes, size_t size) {
    const struct file_piece pieces[] = {{&first, 1}, {bytes, size}};
    must(file_write_atomic(path_of(target, name), pieces, COUNT(pieces)));
}

/* The same file with the first `old` in it replaced by `new`, which is as long. */
static void put_changed(const char *target, const char *name, const uint8_t *bytes, size_t size, const char *old,
                        const char *new) {
    uint8_t *copy;
    size_t at = 0, length = strlen(old);
    must(memory_zeroed(size, 1, &copy));
    memcpy(copy, bytes, size);
    while (at + length <= size && memcmp(copy + at, old, length) != 0)
        at++;
    if (at + length > size)
        must(fail(STATUS_USAGE, "%s/%s: there is no %s to change", target, name, old));
    memcpy(copy + at, new, length);
    put(target, name, copy, size);
    free(copy);
}

/* ---- data sets ---- */

static void make_idx(void) {
    enum { IMAGES = 2, BYTES = 16 + IMAGES * 28 * 28 };
    static const uint8_t header[] = {0, 0, 8, 3, 0, 0, 0, IMAGES, 0, 0, 0, 28, 0, 0, 0, 28};
    static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, IMAGES, 7, 9};
    uint8_t images[BYTES] = {0}, packed[BYTES + 64];
    memcpy(images, header, sizeof header);
    put_after("idx", "images", 1, images, sizeof images);
    put_after("idx", "labels", 0, labels, sizeof labels);
    z_stream stream = {0};
    if (deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        exit(1);
    stream.next_in = images;
    stream.avail_in = sizeof images;
    stream.next_out = packed;
    stream.avail_out = sizeof packed;
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
        exit(1);
    put_after("idx", "images_packed", 1, packed, stream.total_out);
    deflateEnd(&stream);
}

static void make_cifar(void) {
    uint8_t records[2 * 3074] = {0};
    put_after("cifar", "one", 0, records, 3073);
    records[1] = 99;
    put_after("cifar", "two_of_hundred", 1, records, sizeof records);
}

/* ---- pictures ---- */

static void make_tar(const char *name, const char *const files[][2], size_t count) {
    static char bytes[1 << 16];
    size_t used;
    struct archive *tar = archive_write_new();
    archive_write_set_format_pax_restricted(tar);
    archive_write_set_bytes_per_block(tar, 512);
    archive_write_open_memory(tar, bytes, sizeof bytes, &used);
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, files[i][0]);
        archive_entry_set_size(entry, (la_int64_t)strlen(files[i][1]));
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_write_header(tar, entry);
        archive_write_data(tar, files[i][1], strlen(files[i][1]));
        archive_entry_free(entry);
    }
    if (archive_write_close(tar) != ARCHIVE_OK)
        exit(1);
    archive_write_free(tar);
    put("tar", name, bytes, used);
}

static void make_tars(void) {
    static const char *const folders[][2] = {
        {"x/train/a/1.jpg", "one"}, {"./x/train/b/2.png", "two"}, {"x/val/a/3.JPEG", ""}, {"x/train/a/4.jpg", "four"}};
    static const char *const labels[][2] = {{"1.cls", "1"},   {"1.jpg", "one"},
                                            {"2.png", "two"}, {"2.json", "{\"cls\": 0}"},
                                            {"3.jpg", "x"},   {"3.cls", " 1\n"}};
    make_tar("folders", folders, COUNT(folders));
    make_tar("labels", labels, COUNT(labels));
}

/* Fits what thumbnails.c writes for this key. */
static void make_thumbnail(void) {
    const struct thumbnail_key key = {1, 2, 3, 4};
    uint8_t pixels[3 * 5 * 4] = {7};
    const struct picture picture = {5, 4, pixels};
    char folder_name[] = "/tmp/make_corpus_XXXXXX", line[128];
    if (!mkdtemp(folder_name))
        exit(1);
    must(thumbnail_keep(folder_name, &key, &picture));
    snprintf(line, sizeof line, "cat %s/*/*.rgb >%s/entry", folder_name, folder_name);
    uint8_t *entry, whole[256];
    size_t size;
    if (system(line) != 0)
        exit(1);
    snprintf(line, sizeof line, "%s/entry", folder_name);
    must(file_read(line, sizeof whole - sizeof key, &entry, &size));
    memcpy(whole, &key, sizeof key);
    memcpy(whole + sizeof key, entry, size);
    put("thumbnail", "entry", whole, sizeof key + size);
    free(entry);
    snprintf(line, sizeof line, "rm -r %s", folder_name);
    if (system(line) != 0)
        exit(1);
}

/* ---- safetensors ---- */

static void make_safetensors(void) {
    static const float values[6] = {1, 2, 3, 4, 5, 6};
    static const struct safetensors_tensor tensors[] = {
        {.name = "weight", .dtype = SAFETENSORS_F32, .rank = 2, .shape = {2, 2}, .bytes = values, .size = 16},
        {.name = "half", .dtype = SAFETENSORS_F16, .rank = 1, .shape = {3}, .bytes = values, .size = 6},
        {.name = "wide", .dtype = SAFETENSORS_BF16, .rank = 1, .shape = {1}, .bytes = values, .size = 2},
        {.name = "whole", .dtype = SAFETENSORS_I64, .rank = 0, .bytes = values, .size = 8},
        {.name = "none", .dtype = SAFETENSORS_BOOL, .rank = 2, .shape = {0, 7}, .bytes = values, .size = 0},
    };
    static const struct safetensors_text texts[] = {{"format", "pt"}, {"lr", "0.1"}};
    must(safetensors_write(path_of("safetensors", "written"), tensors, COUNT(tensors), texts, COUNT(texts)));
}

static void make_model(struct model *model) {
    const struct model_options options = {
        .name = "resnet8", .height = 4, .width = 4, .channels = 1, .classes = 2, .filters = 1};
    must(model_create(&options, model));
}

static void make_checkpoint(struct vk_device *device) {
    struct rvk_train_options given = {.model = "resnet8", .data = "generated:count=4"};
    struct trainer_options options = {.step = {.optimizer = OPTIMIZER_SGD}};
    struct trainer trainer = {.options = &options, .at = {.epoch = 1, .step = 2}};
    char *record;
    const double zero = 0;
    train_options_fill(&given);
    must(train_options_write(&given, &record));
    options.record = record;
    make_model(&trainer.model);
    must(store_create(device, &trainer.store));
    must(parameters_initialize(&trainer.model, 1, trainer.store));
    must(values_write(trainer.store, "optimizer.velocity", trainer.model.parameter_bytes, 0, shape_vector(1), &zero));
    must(values_write(trainer.store, "normalize.mean", 16, 0, shape_vector(1), &zero));
    must(values_write(trainer.store, "normalize.scale", 16, 0, shape_vector(1), &zero));
    must(trainer_keep(&trainer));
    put("checkpoint", "saved", trainer.kept.bytes, trainer.kept.size);
    put_changed("checkpoint", "other_filters", trainer.kept.bytes, trainer.kept.size, "filters\":\"1", "filters\":\"9");
    put_changed("checkpoint", "other_classes", trainer.kept.bytes, trainer.kept.size, "classes\":\"2", "classes\":\"9");
    put_changed("checkpoint", "other_rank", trainer.kept.bytes, trainer.kept.size, "[1,1,3,3]", "[1,1,9]  ");
    free(trainer.kept.bytes);
    store_destroy(trainer.store);
    model_destroy(&trainer.model);
    free(record);
}

/* ---- --against ---- */

enum { WITNESS_TENSORS = 256 };

struct witness_file {
    struct safetensors_tensor tensors[WITNESS_TENSORS];
    char names[WITNESS_TENSORS][96];
    float values[4096];
    size_t count;
};

static struct safetensors_tensor *append(struct witness_file *file, const char *prefix, const char *name,
                                         uint64_t count) {
    struct safetensors_tensor *tensor = &file->tensors[file->count];
    char *full = file->names[file->count++];
    snprintf(full, sizeof file->names[0], "%s%s%s", prefix, *name ? "." : "", name);
    *tensor = (struct safetensors_tensor){
        .name = full, .dtype = SAFETENSORS_F32, .rank = 1, .shape = {count}, .bytes = file->values, .size = 4 * count};
    return tensor;
}

static void append_parameters(struct witness_file *file, const struct model *model) {
    for (size_t p = 0; p < model->count; p++) {
        const struct parameter *parameter = &model->parameters[p];
        uint64_t count = shape_count(parameter->shape);
        bool statistic = parameter->class == PARAMETER_STATISTIC;
        append(file, statistic ? "buffer" : "param", parameter->name, count);
        append(file, statistic ? "after_buffer" : "after", parameter->name, count);
        if (!statistic)
            append(file, "grad", parameter->name, count);
    }
}

static void make_against(void) {
    static struct witness_file file;
    struct model model;
    make_model(&model);
    append_parameters(&file, &model);
    struct safetensors_tensor *input = append(&file, "input", "", 2 * 16), *logits;
    input->rank = 4;
    memcpy(input->shape, (const uint64_t[]){2, 1, 4, 4}, 4 * sizeof(uint64_t));
    append(&file, "grad_input", "", 2 * 16);
    struct safetensors_tensor *target = append(&file, "target", "", 2);
    append(&file, "loss_train", "", 1);
    append(&file, "logits_eval", "", 2 * 2);
    logits = append(&file, "logits_train", "", 2 * 2);
    logits->rank = 2;
    logits->shape[0] = logits->shape[1] = 2;
    must(safetensors_write(path_of("against", "zeros"), file.tensors, file.count, NULL, 0));
    const float labels[] = {-1, NAN};
    target->bytes = labels;
    must(safetensors_write(path_of("against", "no_class"), file.tensors, file.count, NULL, 0));
    target->bytes = file.values;
    target->size = 4 * (target->shape[0] = 1);
    must(safetensors_write(path_of("against", "one_label"), file.tensors, file.count, NULL, 0));
    model_destroy(&model);
}

/* ---- weights of other programs ---- */

/* A storage of 16 numbers as the fuzzer of pickles has four of. */
static void make_pickles(void) {
    static const char *const classes[] = {"FloatStorage", "DoubleStorage", "HalfStorage", "LongStorage"};
    static const int64_t stored[] = {16, 8, 32, 8};
    static struct written pickle;
    for (size_t i = 0; i < COUNT(classes); i++) {
        char key[] = {(char)('0' + i), 0};
        struct written_view view = {classes[i], key, stored[i], 1, 2, {2, 3}, {i % 2 ? 3 : 1, i % 2 ? 1 : 2}};
        pickle.size = 0;
        written_code(&pickle, "\x80\x02}q\x01(");
        if (i % 2) {
            written_text(&pickle, "state_dict");
            written_code(&pickle, "}(");
        }
        written_text(&pickle, "w");
        written_tensor(&pickle, &view);
        written_text(&pickle, "b");
        written_code(&pickle, "ctorch._utils\n_rebuild_parameter\n(");
        written_tensor(&pickle, &view);
        written_code(&pickle, "\x88"
                              "ccollections\nOrderedDict\n)RtR");
        written_code(&pickle, i % 2 ? "uu." : "u.");
        put("pickle", classes[i], pickle.bytes, pickle.size);
    }
    static const char plain[] =
        "\x80\x04\x95\1\0\0\0\0\0\0\0](N\x88\x89K\1M\1\2J\1\2\3\4\x8a\1\1G?\xf8\0\0\0\0\0\0\x8c\2"
        "ab\x94\x85\x94h\0j\1\0\0\0U\1c}r\2\0\0\0\x8c\1k\x8c\1vs}b(NNd(Nle.";
    put("pickle", "plain", plain, sizeof plain - 1);
    static const char system[] = "cos\nsystem\nX\4\0\0\0true\x85R.";
    put("pickle", "system", system, sizeof system - 1);
}

static void make_weights(void) {
    static const float values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const struct safetensors_tensor tensors[] = {{"conv1.weight", SAFETENSORS_F32, 4, {1, 1, 3, 3}, values, 0},
                                                        {"fc.weight", SAFETENSORS_F16, 2, {2, 4}, values, 16}};
    static struct written pickle, legacy;
    struct safetensors_tensor sound[] = {tensors[0], tensors[1]};
    sound[0].shape[0] = 0;
    written_code(&pickle, "\x80\x02");
    written_state(&pickle, sound, COUNT(sound));
    written_code(&pickle, ".");
    written_file(path_of("weights", "zip"), &pickle, sound, COUNT(sound));
    written_legacy(&legacy, sound, COUNT(sound));
    put("weights", "legacy", legacy.bytes, legacy.size);
    must(safetensors_write(path_of("weights", "safetensors"), sound, COUNT(sound), NULL, 0));
}

/* ---- cases ---- */

static void make_cases(void) {
    for (const struct op *const *op = op_table; *op; op++)
        for (int i = 0; (*op)->cases && (*op)->cases[i]; i++) {
            char name[64], text[640];
            snprintf(name, sizeof name, "%s-%d", (*op)->name, i);
            snprintf(text, sizeof text, "%s %s", (*op)->name, (*op)->cases[i] + ((*op)->cases[i][0] == '+'));
            put("case", name, text, strlen(text));
        }
}

/* ---- what belongs to a device ---- */

static void make_tuning(struct vk_device *device) {
    char key[] = "conv2d x=8x32x32x16 weight=3x3x16x16 pad_top=1";
    const struct tuning_choice choice = {.key = key, .form = "tile", .variant = 3, .ms = 1, .rule_ms = 2};
    must(tuning_keep(path_of("tuning", "kept"), vk_describe(device), &choice));
    char long_key[2 * TUNING_KEY] = "";
    memset(long_key, 'x', sizeof long_key - 1);
    must(tuning_keep(path_of("tuning", "long_key"), vk_describe(device),
                     &(struct tuning_choice){.key = long_key, .form = "tile"}));
}

/* As fuzz_cache.c describes its device. */
static void make_cache(void) {
    static const uint8_t head[56] = "RVKPIPE\0\1\0\0\0\1\0\0\0\2\0\0\0\3";
    put("cache", "header", head, sizeof head);
}

static void make_spirv(void) {
    static const char *const names[] = {"copy", "copy.texels", "channel_sum", "dense", "conv2d_subgroup"};
    for (const struct kernel_module *module = kernel_table; module->name; module++)
        for (size_t i = 0; i < COUNT(names); i++)
            if (strcmp(module->name, names[i]) == 0)
                put("spirv", module->name, module->words, module->bytes);
}

int main(int argc, char **argv) {
    struct vk_device *device;
    if (argc != 2)
        return 2;
    folder = argv[1];
    must(vk_open(&(struct vk_options){.device = "cpu"}, &device));
    make_idx();
    make_cifar();
    make_tars();
    make_thumbnail();
    make_safetensors();
    make_checkpoint(device);
    make_against();
    make_pickles();
    make_weights();
    make_cases();
    make_tuning(device);
    make_cache();
    make_spirv();
    vk_close(device);
    return 0;
}
