#include "exec/tuning.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "exec/identity.h"
#include "exec/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA = 1, LARGEST_FILE = 1 << 24, VARIANTS_MOST = 1 << 16 };

/* ---- choices ---- */

bool tuning_key(const struct call *call, char key[TUNING_KEY]) {
    char line[VERIFY_LINE];
    return verify_case_print(call, line) && snprintf(key, TUNING_KEY, "%s %s", call->op->name, line) < TUNING_KEY;
}

static struct tuning_choice *find(const struct tuning *tuning, const char *key) {
    for (size_t i = 0; i < tuning->count; i++)
        if (strcmp(tuning->choices[i].key, key) == 0)
            return &tuning->choices[i];
    return NULL;
}

bool tuning_has(const struct tuning *tuning, const char *key) {
    return find(tuning, key) != NULL;
}

const struct tuning_choice *tuning_find(const struct tuning *tuning, const struct call *call) {
    char key[TUNING_KEY];
    const struct tuning_choice *choice = tuning->count && tuning_key(call, key) ? find(tuning, key) : NULL;
    return choice && *choice->form ? choice : NULL;
}

enum status tuning_set(struct tuning *tuning, const struct tuning_choice *choice) {
    struct tuning_choice *place = find(tuning, choice->key);
    char *key = place ? place->key : strdup(choice->key);
    enum status status = key ? STATUS_OK : fail(STATUS_MEMORY, "out of memory for a tuned choice");
    if (status == STATUS_OK && !place)
        status = memory_grow(&tuning->choices, &tuning->capacity, tuning->count + 1, sizeof *tuning->choices);
    if (status != STATUS_OK) {
        free(key);
        return status;
    }
    place = place ? place : &tuning->choices[tuning->count++];
    *place = *choice;
    place->key = key;
    return STATUS_OK;
}

void tuning_destroy(struct tuning *tuning) {
    for (size_t i = 0; i < tuning->count; i++)
        free(tuning->choices[i].key);
    free(tuning->choices);
    *tuning = (struct tuning){0};
}

/* ---- the file ---- */

char *tuning_path(const struct vk_description *device) {
    return identity_path("tuning", device);
}

static json_t *pack(const struct tuning *tuning, const struct vk_description *device) {
    json_t *list = json_array();
    for (size_t i = 0; i < tuning->count; i++) {
        const struct tuning_choice *choice = &tuning->choices[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:f, s:f}", "case", choice->key, "form", choice->form,
                                              "variant", (json_int_t)choice->variant, "ms", choice->ms, "rule_ms",
                                              choice->rule_ms));
    }
    return json_pack("{s:i, s:o, s:o}", "schema", SCHEMA, "for", identity_pack(device), "choices", list);
}

/* Adds one choice of the file; false when it is malformed, or memory is short. */
static bool unpack_choice(json_t *item, struct tuning *out) {
    struct tuning_choice choice;
    const char *key, *form;
    json_int_t variant;
    if (json_unpack(item, "{s:s, s:s, s:I, s:F, s:F}", "case", &key, "form", &form, "variant", &variant, "ms",
                    &choice.ms, "rule_ms", &choice.rule_ms) != 0)
        return false;
    if (strlen(key) >= TUNING_KEY || strlen(form) >= sizeof choice.form || variant < 0 || variant > VARIANTS_MOST)
        return false;
    choice.key = (char *)key;
    choice.variant = (uint32_t)variant;
    snprintf(choice.form, sizeof choice.form, "%s", form);
    return tuning_set(out, &choice) == STATUS_OK;
}

/* NULL, or why the file is not used. */
static const char *unpack(json_t *file, const struct vk_description *device, struct tuning *out) {
    json_t *choices = json_object_get(file, "choices");
    if (json_integer_value(json_object_get(file, "schema")) != SCHEMA || !json_is_array(choices))
        return "it is damaged, or of another version";
    json_t *identity = identity_pack(device);
    bool same = json_equal(json_object_get(file, "for"), identity);
    json_decref(identity);
    if (!same)
        return "it was measured with another device, driver or version of this program";
    for (size_t i = 0; i < json_array_size(choices); i++)
        if (!unpack_choice(json_array_get(choices, i), out))
            return "it is damaged";
    return NULL;
}

void tuning_read(const char *path, const struct vk_description *device, struct tuning *out) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    *out = (struct tuning){0};
    if (!file_exists(path))
        return;
    if (file_read(path, LARGEST_FILE, &bytes, &size) != STATUS_OK) {
        log_warn("tuned choices are ignored: %s", status_message());
        return;
    }
    json_t *file = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, NULL);
    const char *why_not = unpack(file, device, out);
    json_decref(file);
    free(bytes);
    if (!why_not)
        return;
    tuning_destroy(out);
    log_warn("%s is ignored: %s; 'resnet-vk tune' makes a new one", path, why_not);
}

enum status tuning_keep(const char *path, const struct vk_description *device, const struct tuning_choice *choice) {
    struct tuning tuning;
    tuning_read(path, device, &tuning);
    enum status status = tuning_set(&tuning, choice);
    json_t *file = pack(&tuning, device);
    char *text = json_dumps(file, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    json_decref(file);
    tuning_destroy(&tuning);
    if (status == STATUS_OK && !text)
        status = fail(STATUS_MEMORY, "out of memory for %s", path);
    if (status == STATUS_OK)
        status = file_write_atomic(path, &(struct file_piece){text, strlen(text)}, 1);
    free(text);
    return status;
}
