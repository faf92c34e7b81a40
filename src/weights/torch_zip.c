/* torch_zip: a zip file NAME/data.pkl, NAME/data/KEY, ..., whose entries are stored as they are. */
#include "weights/torch_file.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zip.h>

#define SHOWN "%.95s"

static enum status refuse(const struct torch_file *file, const char *entry, const char *what) {
    return fail(STATUS_DATA, "%s: " SHOWN " in the zip file %s", file->path, entry, what);
}

/* Name and size of an entry that is neither packed nor encrypted. */
static enum status describe(const struct torch_file *file, uint64_t index, zip_stat_t *about) {
    const zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if (zip_stat_index(file->user, index, ZIP_FL_ENC_RAW, about) != 0 || (about->valid & needed) != needed)
        return fail(STATUS_DATA, "%s: entry %llu of the zip file is damaged", file->path, (unsigned long long)index);
    if (about->comp_method != ZIP_CM_STORE || about->size != about->comp_size ||
        (about->valid & ZIP_STAT_ENCRYPTION_METHOD && about->encryption_method != ZIP_EM_NONE))
        return refuse(file, about->name, "is compressed or encrypted, which PyTorch does not do");
    if (about->size > file->file_bytes)
        return refuse(file, about->name, "is larger than the file");
    return STATUS_OK;
}

/* All bytes of an entry; the checksum is compared at its end. */
static enum status read_entry(struct torch_file *file, uint64_t index, uint64_t size, uint8_t *bytes) {
    uint8_t more;
    zip_file_t *entry = zip_fopen_index(file->user, index, 0);
    bool whole = entry && zip_fread(entry, bytes, size) == (zip_int64_t)size && zip_fread(entry, &more, 1) == 0;
    if (entry)
        zip_fclose(entry);
    return whole
               ? STATUS_OK
               : fail(STATUS_DATA, "%s: entry %llu of the zip file is damaged", file->path, (unsigned long long)index);
}

static enum status load(struct torch_file *file, struct storage *storage) {
    uint8_t *bytes;
    TRY(memory_zeroed((size_t)storage->size, 1, &bytes));
    TRY(weights_keep(file->weights, bytes));
    storage->bytes = bytes;
    return read_entry(file, storage->place, storage->size, bytes);
}

/* The length of NAME in NAME/data.pkl, or -1. */
static int find_folder(const char *entry) {
    const char *slash = strchr(entry, '/');
    return slash && strcmp(slash, "/data.pkl") == 0 ? (int)(slash - entry) : -1;
}

static enum status read_pickle(struct torch_file *file, const char *name, uint64_t index, uint64_t size) {
    uint8_t *bytes;
    if (file->pickle.count)
        return refuse(file, name, "is there twice");
    if (size > PICKLE_LIMIT)
        return fail(STATUS_DATA, "%s: " SHOWN " has %llu bytes, more than the limit of %d", file->path, name,
                    (unsigned long long)size, PICKLE_LIMIT);
    TRY(memory_zeroed((size_t)size, 1, &bytes));
    enum status status = read_entry(file, index, size, bytes);
    if (status == STATUS_OK) {
        status = pickle_parse(bytes, (size_t)size, &file->pickle);
        status = status == STATUS_OK ? STATUS_OK : fail_prefix(status, "%s", file->path);
    }
    free(bytes);
    return status;
}

/* NAME/byteorder is there since PyTorch 2.1. */
static enum status check_order(struct torch_file *file, uint64_t index, uint64_t size) {
    char order[8] = "";
    if (size < sizeof order)
        TRY(read_entry(file, index, size, (uint8_t *)order));
    return strcmp(order, "little") == 0 ? STATUS_OK
                                        : fail(STATUS_DATA, "%s: its numbers are not little-endian", file->path);
}

/* Looks at entry `index` of the folder: the storages are listed, the pickle and the byte order are read. */
static enum status take_entry(struct torch_file *file, uint64_t index, const char *folder, int length,
                              uint64_t *listed) {
    static const char data[] = "data/";
    zip_stat_t about;
    TRY(describe(file, index, &about));
    if (strncmp(about.name, folder, (size_t)length + 1) != 0)
        return STATUS_OK;
    const char *name = about.name + length + 1;
    *listed += about.size;
    if (*listed > file->file_bytes)
        return refuse(file, about.name, "shares bytes with others");
    if (strcmp(name, "data.pkl") == 0)
        return read_pickle(file, about.name, index, about.size);
    if (strcmp(name, "byteorder") == 0)
        return check_order(file, index, about.size);
    if (strncmp(name, data, sizeof data - 1) == 0)
        file->storages[file->count++] =
            (struct storage){.key = name + sizeof data - 1, .size = about.size, .place = index};
    return STATUS_OK;
}

static enum status read_entries(struct torch_file *file) {
    zip_int64_t entries = zip_get_num_entries(file->user, 0);
    const char *folder = NULL;
    int length = -1;
    uint64_t listed = 0;
    for (zip_int64_t i = 0; i < entries && length < 0; i++) {
        folder = zip_get_name(file->user, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
        length = folder ? find_folder(folder) : -1;
    }
    if (length < 0)
        return fail(STATUS_DATA, "%s is a zip file without data.pkl: torch.save did not write it", file->path);
    TRY(memory_zeroed((size_t)entries, sizeof *file->storages, &file->storages));
    for (zip_int64_t i = 0; i < entries; i++)
        TRY(take_entry(file, (uint64_t)i, folder, length, &listed));
    torch_sort_storages(file);
    return torch_append(file);
}

enum status torch_read_zip(struct weights *weights, const char *path) {
    struct torch_file file = {.weights = weights, .path = path, .load = load};
    struct stat about;
    int code;
    if (stat(path, &about) == 0)
        file.file_bytes = (uint64_t)about.st_size;
    file.user = zip_open(path, ZIP_RDONLY, &code);
    if (!file.user) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        fail(code == ZIP_ER_MEMORY ? STATUS_MEMORY : STATUS_DATA, "%s: %s", path, zip_error_strerror(&error));
        zip_error_fini(&error);
        return code == ZIP_ER_MEMORY ? STATUS_MEMORY : STATUS_DATA;
    }
    enum status status = read_entries(&file);
    pickle_destroy(&file.pickle);
    free(file.storages);
    zip_discard(file.user);
    return status;
}
