#include "cli/predict_output.h"

#include "cli/thumbnail.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_ROOM = 160, NAME_WIDTH = 48, THUMBNAIL_SIDE = 192 };

/* ---- classes ---- */

/* What the model calls it, or the data set; a synset of ImageNet by its name. NULL: nobody has a name. */
static const char *find_name(const struct predict_output *output, uint32_t k) {
    const char *name = rvk_model_class_name(output->model, k);
    if (!name)
        name = rvk_class_name(output->data, k);
    const char *known = name ? rvk_synset_name(name) : NULL;
    return known ? known : name;
}

/* The true class as the model counts; UINT32_MAX: not known to it. */
static uint32_t find_label(const struct predict_output *output, uint32_t index) {
    return rvk_model_class(output->model, output->data, rvk_label(output->data, index));
}

static const char *describe(const struct predict_output *output, uint32_t k, char text[NAME_ROOM]) {
    const char *name = find_name(output, k);
    if (name)
        snprintf(text, NAME_ROOM, "%s", name);
    else
        snprintf(text, NAME_ROOM, "class %u", k);
    return text;
}

/* The true class; one that the model does not know, as the data set calls it. */
static const char *describe_truth(const struct predict_output *output, uint32_t index, char text[NAME_ROOM]) {
    uint32_t label = find_label(output, index);
    if (label != UINT32_MAX)
        return describe(output, label, text);
    const char *name = rvk_class_name(output->data, rvk_label(output->data, index));
    snprintf(text, NAME_ROOM, "%s", name ? name : "unknown");
    return text;
}

/* The most probable class that is less probable than the one before (of equals, the one with the larger number). */
static uint32_t next_best(const float *probabilities, uint32_t classes, uint32_t before) {
    uint32_t best = UINT32_MAX;
    for (uint32_t k = 0; k < classes; k++) {
        bool behind = before == UINT32_MAX || probabilities[k] < probabilities[before] ||
                      (probabilities[k] == probabilities[before] && k > before);
        if (behind && (best == UINT32_MAX || probabilities[k] > probabilities[best]))
            best = k;
    }
    return best;
}

/* Fills in output->best; fewer than output->top where numbers are not finite. */
static uint32_t find_best(struct predict_output *output, const float *probabilities) {
    uint32_t count = 0, best = UINT32_MAX;
    while (count < output->top && (best = next_best(probabilities, output->classes, best)) != UINT32_MAX)
        output->best[count++] = best;
    return count;
}

/* Whether NaN stands for a picture that cannot be read, and not for what the model computed; the message then waits. */
static bool is_broken(const struct predict_output *output, uint32_t index, const float *probabilities) {
    uint8_t pixel[3];
    return rvk_get_data_info(output->data).streamed && isnan(probabilities[0]) &&
           rvk_read_picture(output->data, index, 1, pixel) != RVK_OK;
}

/* ---- text ---- */

/* Mean of the channels of one pixel. */
static unsigned brightness(const uint8_t *image, struct rvk_data_info info, uint32_t row, uint32_t column) {
    const uint8_t *pixel = image + ((size_t)row * info.width + column) * info.channels;
    unsigned sum = 0;
    for (uint32_t c = 0; c < info.channels; c++)
        sum += pixel[c];
    return sum / info.channels;
}

/* Two rows of the image become one line, as letters are about twice as high as wide. */
static void draw(const struct rvk_data *data, uint32_t index) {
    static const char ramp[] = " .:-=+*#%@";
    struct rvk_data_info info = rvk_get_data_info(data);
    const uint8_t *image = rvk_image(data, index);
    for (uint32_t row = 0; image && row + 1 < info.height; row += 2) {
        for (uint32_t column = 0; column < info.width; column++) {
            unsigned mean = (brightness(image, info, row, column) + brightness(image, info, row + 1, column)) / 2;
            putchar(ramp[mean * (sizeof ramp - 1) / 256]);
        }
        putchar('\n');
    }
}

static void print_class(const struct predict_output *output, uint32_t k) {
    char name[NAME_ROOM];
    cli_print_column(describe(output, k, name), 0);
}

/* A picture of a streamed data set has a file's name. */
static void print_label(const struct predict_output *output, uint32_t index) {
    const char *file = rvk_image_name(output->data, index);
    if (file)
        cli_print_column(file, 0);
    else
        printf("image %u", index);
    printf(": ");
}

static void print_image(struct predict_output *output, uint32_t index, const float *probabilities, uint32_t count) {
    char truly[NAME_ROOM];
    uint32_t label = find_label(output, index);
    if (output->draw)
        draw(output->data, index);
    print_label(output, index);
    for (uint32_t i = 0; i < count; i++) {
        printf("%s", i ? ", " : "");
        print_class(output, output->best[i]);
        printf(" %.1f%%", 100 * (double)probabilities[output->best[i]]);
    }
    printf("; truly ");
    cli_print_column(describe_truth(output, index, truly), 0);
    printf("%s\n", count && output->best[0] == label ? "" : "  (wrong)");
}

/* A name that is wider than its column is not cut: it may be needed. */
static void print_picture(struct predict_output *output, uint32_t index, const float *probabilities, uint32_t count) {
    const char *name = rvk_image_name(output->data, index);
    cli_print_column(name, (int)text_length(name) > output->name_width ? 0 : output->name_width);
    for (uint32_t i = 0; i < count; i++) {
        printf(i ? ", %.1f%% " : "  %5.1f%% ", 100 * (double)probabilities[output->best[i]]);
        print_class(output, output->best[i]);
    }
    putchar('\n');
}

/* ---- JSON ---- */

static json_t *pack_text(const char *text) {
    char *valid = text ? text_valid(text) : NULL;
    json_t *value = valid ? json_string(valid) : json_null();
    free(valid);
    return value;
}

static json_t *pack_image(struct predict_output *output, uint32_t index, const float *probabilities, uint32_t count) {
    uint32_t label = find_label(output, index);
    const char *file = rvk_image_name(output->data, index);
    char truly[NAME_ROOM];
    json_t *list = json_array();
    for (uint32_t k = 0; k < output->classes; k++)
        json_array_append_new(list, cli_number((double)probabilities[k]));
    const char *name = label == UINT32_MAX ? describe_truth(output, index, truly) : find_name(output, label);
    return json_pack("{s:I, s:o*, s:o, s:o, s:I, s:o, s:o}", "index", (json_int_t)index, "file",
                     file ? pack_text(file) : NULL, "label", label == UINT32_MAX ? json_null() : json_integer(label),
                     "label_name", pack_text(name), "prediction", count ? (json_int_t)output->best[0] : -1,
                     "prediction_name", pack_text(count ? find_name(output, output->best[0]) : NULL), "probabilities",
                     list);
}

static json_t *pack_picture(struct predict_output *output, uint32_t index, const float *probabilities, uint32_t count) {
    json_t *top = json_array();
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = output->best[i];
        json_array_append_new(top, json_pack("{s:I, s:o, s:o}", "class", (json_int_t)k, "name",
                                             pack_text(find_name(output, k)), "probability",
                                             cli_number((double)probabilities[k])));
    }
    return json_pack("{s:s, s:o, s:o}", "event", "picture", "file", pack_text(rvk_image_name(output->data, index)),
                     "top", top);
}

static void print_broken(struct predict_output *output, uint32_t index) {
    cli_print_json(json_pack("{s:s, s:o, s:o}", "event", "broken", "file",
                             pack_text(rvk_image_name(output->data, index)), "message", pack_text(rvk_message())));
}

/* ---- the contact sheet ---- */

static enum rvk_status put_card(struct predict_output *output, uint32_t index, const float *probabilities,
                                uint32_t count) {
    enum { MOST_BARS = 20 };
    char names[MOST_BARS][NAME_ROOM], truly[NAME_ROOM], note[512];
    struct html_bar bars[MOST_BARS];
    const char *file = rvk_image_name(output->data, index);
    uint32_t label = find_label(output, index);
    uint8_t *jpeg = NULL;
    size_t size = 0;
    for (uint32_t i = 0; i < count && i < MOST_BARS; i++)
        bars[i] = (struct html_bar){describe(output, output->best[i], names[i]), (double)probabilities[output->best[i]],
                                    i == 0 && label != UINT32_MAX && label != output->best[0]};
    if (file && !output->pictures)
        snprintf(note, sizeof note, "%.300s: %s", file, describe_truth(output, index, truly));
    else if (!file)
        snprintf(note, sizeof note, "image %u: %s", index, describe_truth(output, index, truly));
    enum rvk_status status = thumbnail(output->data, index, THUMBNAIL_SIDE, &jpeg, &size);
    if (status == RVK_OK)
        html_card(output->page.out, jpeg, size, bars, count < MOST_BARS ? count : MOST_BARS,
                  output->pictures ? file : note);
    free(jpeg);
    return status;
}

static void put_broken_card(struct predict_output *output) {
    const struct html_bar bar = {"cannot be read", -1, true};
    html_card(output->page.out, NULL, 0, &bar, 1, rvk_message());
}

static enum rvk_status open_page(struct predict_output *output, uint32_t count) {
    struct rvk_model_info info;
    char title[96];
    rvk_get_model_info(output->model, &info);
    snprintf(title, sizeof title, "%u %s as %s sees %s", count, count == 1 ? "picture" : "pictures", info.name,
             count == 1 ? "it" : "them");
    enum rvk_status status = html_open(&output->page, title, output->weights);
    if (status == RVK_OK)
        html_cards_begin(output->page.out);
    return status;
}

/* ---- all of it ---- */

static void find_width(struct predict_output *output, uint32_t first, uint32_t count) {
    for (uint32_t i = first; i < first + count; i++) {
        size_t length = text_length(rvk_image_name(output->data, i));
        if (length <= NAME_WIDTH && (int)length > output->name_width)
            output->name_width = (int)length;
    }
}

static void print_start(const struct predict_output *output, uint32_t count) {
    struct rvk_model_info info;
    json_t *record = cli_record(output->cli, NULL);
    rvk_get_model_info(output->model, &info);
    json_object_set_new(record, "event", json_string("start"));
    json_object_set_new(record, "model", json_string(info.name));
    json_object_set_new(record, "pictures", json_integer(count));
    cli_print_json(record);
}

enum rvk_status predict_output_open(struct predict_output *output, uint32_t first, uint32_t count) {
    struct rvk_model_info info;
    rvk_get_model_info(output->model, &info);
    output->classes = info.classes;
    output->best = calloc(output->top, sizeof *output->best);
    if (!output->best)
        return cli_fail(RVK_MEMORY, "out of host memory for %u classes", output->top);
    if (output->pictures)
        find_width(output, first, count);
    if (output->cli->common.json && output->pictures)
        print_start(output, count);
    else if (output->cli->common.json)
        output->list = json_array();
    return output->html ? open_page(output, count) : RVK_OK;
}

enum rvk_status predict_output_put(struct predict_output *output, uint32_t index, const float *probabilities) {
    const bool json = output->cli->common.json;
    output->done++;
    if (is_broken(output, index, probabilities)) {
        output->broken++;
        if (json && output->pictures)
            print_broken(output, index);
        if (output->html)
            put_broken_card(output);
        return RVK_OK;
    }
    uint32_t count = find_best(output, probabilities);
    if (json && output->pictures)
        cli_print_json(pack_picture(output, index, probabilities, count));
    else if (json)
        json_array_append_new(output->list, pack_image(output, index, probabilities, count));
    else
        (output->pictures ? print_picture : print_image)(output, index, probabilities, count);
    return output->html ? put_card(output, index, probabilities, count) : RVK_OK;
}

static void print_end(struct predict_output *output, enum rvk_status status, double seconds, double waited) {
    if (output->list) {
        json_t *record = cli_record(output->cli, NULL);
        json_object_set(record, "predictions", output->list);
        cli_print_json(record);
        return;
    }
    double rate = seconds > 0 ? output->done / seconds : 0;
    cli_print_json(json_pack("{s:s, s:i, s:I, s:I, s:f, s:f, s:f}", "event", "result", "status", (int)status,
                             "pictures", (json_int_t)(output->done - output->broken), "broken",
                             (json_int_t)(output->broken + output->missing), "seconds", seconds, "images_per_second",
                             rate, "waited", waited));
}

enum rvk_status predict_output_close(struct predict_output *output, enum rvk_status status, double seconds,
                                     double waited) {
    const bool complete = status == RVK_OK, json = output->cli->common.json;
    const uint32_t lost = output->broken + output->missing;
    if (json && output->best && (complete || output->pictures))
        print_end(output, complete && lost ? RVK_DATA : status, seconds, waited);
    if (output->page.out)
        html_cards_end(output->page.out);
    enum rvk_status closed = html_close(&output->page, complete ? output->html : NULL);
    json_decref(output->list);
    free(output->best);
    if (!complete || closed != RVK_OK)
        return complete ? closed : status;
    return lost ? cli_fail(RVK_DATA, "%u of %u pictures could not be read", lost, output->done + output->missing)
                : RVK_OK;
}
