#include "model/family.h"

#define LARGE(kind, layers)                                                                                            \
    .layers_per_block = layers, .shortcut = SHORTCUT_PROJECTION_NORM, .forward = residual_forward, .block = kind,      \
    .large = true
#define BASIC LARGE(residual_basic, 2)
#define BOTTLENECK LARGE(residual_bottleneck, 3)
#define SMALL(kind) .layers_per_block = 2, .shortcut = kind, .forward = residual_forward, .block = residual_basic
#define SMALL_V2(kind) .layers_per_block = 3, .shortcut = kind, .forward = residual_forward_v2
#define VGG .forward = vgg_forward, .large = true, .dense_deviation = 0.01
#define VGG_SMALL .forward = vgg_forward_small, .dense_deviation = 0.01

#define STAGES_50 .depth = 50, .blocks = {3, 4, 6, 3}
#define STAGES_101 .depth = 101, .blocks = {3, 4, 23, 3}
#define STAGES_152 .depth = 152, .blocks = {3, 8, 36, 3}
#define VGG_11 .depth = 11, .blocks = {1, 1, 2, 2, 2}
#define VGG_13 .depth = 13, .blocks = {2, 2, 2, 2, 2}
#define VGG_16 .depth = 16, .blocks = {2, 2, 3, 3, 3}
#define VGG_19 .depth = 19, .blocks = {2, 2, 4, 4, 4}

const struct model_family model_families[] = {
    {"resnet", "", BASIC, .depth = 18, .blocks = {2, 2, 2, 2}},
    {"resnet", "", BASIC, .depth = 34, .blocks = {3, 4, 6, 3}},
    {"resnet", "", BOTTLENECK, STAGES_50},
    {"resnet", "", BOTTLENECK, STAGES_101},
    {"resnet", "", BOTTLENECK, STAGES_152},
    {"resnet", "v1", BOTTLENECK, STAGES_50, .stride_first = true},
    {"resnet", "v1", BOTTLENECK, STAGES_101, .stride_first = true},
    {"resnet", "v1", BOTTLENECK, STAGES_152, .stride_first = true},
    {"wide_resnet", "_2", BOTTLENECK, STAGES_50, .groups = 1, .group_width = 128},
    {"wide_resnet", "_2", BOTTLENECK, STAGES_101, .groups = 1, .group_width = 128},
    {"resnext", "_32x4d", BOTTLENECK, STAGES_50, .groups = 32, .group_width = 4},
    {"resnext", "_32x8d", BOTTLENECK, STAGES_101, .groups = 32, .group_width = 8},
    {"resnext", "_64x4d", BOTTLENECK, STAGES_101, .groups = 64, .group_width = 4},
    {"seresnet", "", BASIC, .depth = 18, .blocks = {2, 2, 2, 2}, .squeeze = 16},
    {"seresnet", "", BASIC, .depth = 34, .blocks = {3, 4, 6, 3}, .squeeze = 16},
    {"seresnet", "", BOTTLENECK, STAGES_50, .squeeze = 16},
    {"seresnet", "", BOTTLENECK, STAGES_101, .squeeze = 16},
    {"seresnet", "", BOTTLENECK, STAGES_152, .squeeze = 16},
    {"vgg", "", VGG, VGG_11},
    {"vgg", "", VGG, VGG_13},
    {"vgg", "", VGG, VGG_16},
    {"vgg", "", VGG, VGG_19},
    {"vgg", "_bn", VGG, VGG_11, .norm = true},
    {"vgg", "_bn", VGG, VGG_13, .norm = true},
    {"vgg", "_bn", VGG, VGG_16, .norm = true},
    {"vgg", "_bn", VGG, VGG_19, .norm = true},
    {"vgg", "c", VGG_SMALL, VGG_16},
    {"vgg", "c", VGG_SMALL, VGG_19},
    {"vgg", "c_bn", VGG_SMALL, VGG_16, .norm = true},
    {"vgg", "c_bn", VGG_SMALL, VGG_19, .norm = true},
    {"resnet", "", SMALL(SHORTCUT_PROJECTION)},
    {"resnet", "c", SMALL(SHORTCUT_PROJECTION)},
    {"resnet", "a", SMALL(SHORTCUT_PAD)},
    {"resnet", "b", SMALL(SHORTCUT_PROJECTION_NORM)},
    {"resnet", "v2", SMALL_V2(SHORTCUT_PROJECTION)},
    {"plain", "", SMALL(SHORTCUT_NONE)},
    {"plain", "v2", SMALL_V2(SHORTCUT_NONE)},
    {.prefix = NULL},
};
