/* api: data sets and the list of models. */
#include "api/internal.h"

#include "base/memory.h"
#include "data/imagenet.h"
#include "data/view.h"

#include <stdlib.h>

/* ---- data sets ---- */

static enum status adapt(struct rvk_data *data, const struct rvk_data_options *options) {
    struct source *source = data->set.source;
    if (!source)
        return STATUS_OK;
    if (options) {
        source->threads = options->decode_threads;
        if (options->broken)
            source->broken_limit = options->broken == RVK_BROKEN_NONE ? 0 : options->broken;
        if (options->cache)
            TRY(thumbnails_open(options->cache, &source->thumbnails));
    }
    return dataset_choose_size(&data->set, 0, 0);
}

/* After `status` of loading. */
static enum rvk_status finish(enum status status, const struct rvk_data_options *options, struct rvk_data **data) {
    if (status == STATUS_OK)
        status = adapt(*data, options);
    if (status != STATUS_OK) {
        rvk_close_data(*data);
        *data = NULL;
    }
    return api_status(status);
}

enum rvk_status rvk_open_data_with(const char *spec, bool training, const struct rvk_data_options *options,
                                   struct rvk_data **data) {
    enum status status = memory_zeroed(1, sizeof **data, data);
    if (status == STATUS_OK)
        status = dataset_load(spec, training, &(*data)->set);
    return finish(status, options, data);
}

enum rvk_status rvk_open_data(const char *spec, bool training, struct rvk_data **data) {
    return rvk_open_data_with(spec, training, NULL, data);
}

enum rvk_status rvk_open_pictures(const char *const *paths, uint32_t count, const struct rvk_data_options *options,
                                  struct rvk_data **data) {
    enum status status = memory_zeroed(1, sizeof **data, data);
    if (status == STATUS_OK)
        status = dataset_list(paths, count, &(*data)->set);
    return finish(status, options, data);
}

void rvk_close_data(struct rvk_data *data) {
    if (data)
        dataset_destroy(&data->set);
    free(data);
}

void api_data_for(const struct rvk_data *data, const struct model_options *options, struct dataset *out) {
    *out = data->set;
    if (!out->source)
        return;
    out->whole = data->set.height == options->height;
    out->height = options->height;
    out->width = options->width;
}

struct rvk_data_info rvk_get_data_info(const struct rvk_data *data) {
    const struct dataset *set = &data->set;
    return (struct rvk_data_info){set->count,    set->height,  set->width,
                                  set->channels, set->classes, set->source != NULL};
}

const uint8_t *rvk_image(const struct rvk_data *data, uint32_t index) {
    const struct dataset *set = &data->set;
    return index < set->count && set->images ? set->images + (size_t)index * set->height * set->width * set->channels
                                             : NULL;
}

static enum status read_picture(const struct dataset *set, uint32_t index, uint32_t size, uint8_t *pixels) {
    if (!set->source)
        return fail(STATUS_USAGE, "%s is no streamed data set", set->name);
    if (index >= set->count || size == 0 || size > API_LARGEST_PICTURE)
        return fail(STATUS_USAGE, "picture %u of %u cannot be had at %ux%u pixels (at most %u)", index, set->count,
                    size, size, API_LARGEST_PICTURE);
    const struct view view = {.size = size, .whole = size == set->height};
    return view_picture(set->source, index, &view, pixels);
}

enum rvk_status rvk_read_picture(const struct rvk_data *data, uint32_t index, uint32_t size, uint8_t *pixels) {
    return api_status(read_picture(&data->set, index, size, pixels));
}

const char *rvk_image_name(const struct rvk_data *data, uint32_t index) {
    return data->set.source && index < data->set.count ? data->set.source->items[index].name : NULL;
}

uint32_t rvk_label(const struct rvk_data *data, uint32_t index) {
    return index < data->set.count ? data->set.labels[index] : UINT32_MAX;
}

const char *rvk_class_name(const struct rvk_data *data, uint32_t class_index) {
    return data->set.class_names && class_index < data->set.classes ? data->set.class_names[class_index] : NULL;
}

const char *rvk_imagenet_class(uint32_t class_index) {
    return class_index < IMAGENET_CLASSES ? imagenet_classes[class_index].name : NULL;
}

const char *rvk_synset_name(const char *synset) {
    return imagenet_find(synset);
}

/* ---- models ---- */

const char *const *rvk_model_names(void) {
    return model_names;
}

const char *rvk_model_rule(void) {
    return "For ImageNet, as torchvision has them: resnet18, resnet34, resnet50, resnet101, resnet152,\n"
           "wide_resnet50_2, wide_resnet101_2, resnext50_32x4d, resnext101_32x8d, resnext101_64x4d, and the plain\n"
           "vgg11, vgg13, vgg16 and vgg19, also with _bn. resnet50v1, 101v1 and 152v1 have their stride where the\n"
           "paper has it. seresnet18, 34, 50, 101 and 152 have squeeze-and-excitation, as timm has them.\n"
           "Any other resnetD is for small images and has D = 6n+2 weighted layers (20, 32, 44, 56, 110, ...): 3n\n"
           "residual blocks of two 3x3 convolutions with 16, 32 and 64 filters. The shortcut is a 1x1 convolution\n"
           "where a stage begins; resnetDb adds batch normalization to it, resnetDa subsamples and pads with zeros\n"
           "instead. resnetDc is resnetD, also where that name stands for an ImageNet network (50, 152). plainD has\n"
           "no shortcuts. resnetDv2 and plainDv2 have D = 9n+2 layers: pre-activation bottlenecks. vgg16c and vgg19c,\n"
           "also with _bn, are VGG's convolutions for small images with one dense layer.\n";
}

enum status api_model_options(const char *name, const char *style, uint32_t size, struct model_options *out) {
    *out = (struct model_options){.name = api_text(name, "resnet20"), .height = size, .width = size};
    return model_style_find(api_text(style, "torch"), &out->style);
}

void api_model_info(const struct model *model, struct rvk_model_info *info) {
    *info = (struct rvk_model_info){
        .trainable = model->trainable,
        .untrained = model->untrained,
        .multiply_adds = model->multiply_adds,
        .height = model->options.height,
        .width = model->options.width,
        .channels = model->options.channels,
        .classes = model->options.classes,
    };
    snprintf(info->name, sizeof info->name, "%s", model->name);
}

enum rvk_status rvk_describe_model(const char *name, const char *style, struct rvk_model_info *info) {
    struct model_options options;
    struct model model = {0};
    enum status status = api_model_options(name, style, 0, &options);
    if (status == STATUS_OK)
        status = model_create(&options, &model);
    if (status == STATUS_OK)
        api_model_info(&model, info);
    model_destroy(&model);
    return api_status(status);
}
