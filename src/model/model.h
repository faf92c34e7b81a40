/*
 * model: a network as a list of parameters, and the forward graph that uses them.
 *
 * Names (D is the depth: weighted layers, the shortcut's 1x1 convolutions not counted), first those for ImageNet:
 *   resnetD     D = 18, 34, 50, 101, 152: the networks as torchvision defines them: 7x7 convolution of stride 2 and max
 *               pooling, four stages with 64, 128, 256, 512 filters of basic blocks (18, 34) or bottlenecks, whose 3x3
 *               convolution has the stride ("v1.5"); shortcuts with batch normalization
 *   resnetDv1   D = 50, 101, 152: the stride is in the bottleneck's first 1x1 convolution, as in the paper
 *   wide_resnetD_2  D = 50, 101: twice as many filters inside the bottlenecks (Zagoruyko and Komodakis, "Wide Residual
 *               Networks", BMVC 2016), as torchvision defines it
 *   resnextD_GxWd   50_32x4d, 101_32x8d, 101_64x4d: the 3x3 convolutions have G groups (Xie et al., "Aggregated
 *               Residual Transformations for Deep Neural Networks", CVPR 2017), as torchvision defines it
 *   seresnetD   D = 18, 34, 50, 101, 152: resnetD with squeeze-and-excitation at the end of every block (Hu et al.,
 *               "Squeeze-and-Excitation Networks", CVPR 2018), reduction 16, as timm defines it
 *   vggD        D = 11, 13, 16, 19: plain networks (Simonyan and Zisserman, "Very Deep Convolutional Networks for
 *               Large-Scale Image Recognition", ICLR 2015), as torchvision defines them
 *   vggD_bn     the same with batch normalization
 * and those for small images:
 *   resnetD     any other D = 6n+2: residual network (He et al., "Deep Residual Learning for Image Recognition", CVPR
 *               2016, section 4.2): 3x3 convolutions with 16, 32, 64 filters; where a stage begins with stride 2, the
 *               shortcut is a 1x1 convolution of stride 2 (as in the Keras example)
 *   resnetDc    the same for every D = 6n+2, also for 50 and 152
 *   resnetDb    that 1x1 convolution is followed by batch normalization (option B, as torchvision does it)
 *   resnetDa    the shortcut takes every second row and column and pads channels with zeros (option A: no weights)
 *   plainD      the same layers without shortcuts
 *   resnetDv2   D = 9n+2: pre-activation bottlenecks with 64, 128, 256 output channels (the Keras example's v2)
 *   plainDv2    the same layers without shortcuts
 *   vggDc, vggDc_bn  D = 16, 19: the convolutions of vggD, and one dense layer
 *
 * Parameter names and file layouts are torchvision's ("layer2.0.downsample.0.weight"; convolution [o,i,h,w], linear
 * [o,i]); the layouts on the device are those of ir/tensor.h: [h,w,i,o] and [1,1,i,o].
 */
#ifndef RVK_MODEL_MODEL_H
#define RVK_MODEL_MODEL_H

#include "base/status.h"
#include "ir/graph.h"

enum model_style {
    STYLE_TORCH, /* no convolution bias, symmetric padding, BN epsilon 1e-5, momentum 0.1, unbiased running variance */
    STYLE_KERAS, /* the Keras CIFAR-10 ResNet example: convolution bias, 'same' padding (the odd pixel after), BN
                    epsilon 1e-3, momentum 0.99 (here 0.01), L2 of 1e-4 on convolution kernels; the running variance is
                    biased as in Keras 3 (Keras 2 took TensorFlow's fused kernel, whose variance is unbiased) */
};

enum initializer {
    INITIALIZER_STYLE,        /* what the style's framework does */
    INITIALIZER_HE_FAN_OUT,   /* normal, variance 2 / (kh kw o); dense uniform in +-1/sqrt(i), as PyTorch */
    INITIALIZER_HE_TRUNCATED, /* normal cut at two deviations, variance 2 / (kh kw i), as Keras' he_normal */
};

/* Zero means default. */
struct model_options {
    const char *name;       /* "resnet20"; or a description, its text or the path of its file (model/description.h) */
    uint32_t height, width; /* 32 x 32; ImageNet: 224 x 224 */
    uint32_t channels;      /* 3 */
    uint32_t classes;       /* 10; ImageNet: 1000 */
    uint32_t filters;       /* of the first convolution: 16; ImageNet: 64 */
    enum model_style style;
    enum initializer initializer;
};

/* Classes in the order in which they lie in "parameters": what weight decay applies to is a prefix. */
enum parameter_class {
    PARAMETER_CONVOLUTION, /* kernels of convolutions */
    PARAMETER_DENSE,       /* kernels of dense layers */
    PARAMETER_VECTOR,      /* biases, gammas, betas */
    PARAMETER_STATISTIC,   /* running means and variances: not trained, in "statistics" */
};

/* How a value starts; the number is in parameter.scale. */
enum initial { INITIAL_CONSTANT, INITIAL_NORMAL, INITIAL_TRUNCATED_NORMAL, INITIAL_UNIFORM };

struct parameter {
    char name[64];
    enum parameter_class class;
    struct shape shape;      /* on the device */
    uint64_t trained_offset; /* bytes in flat values of what is trained only: gradients, the optimizer's state */
    uint64_t offset;         /* bytes in the flat value "parameters" or "statistics" */
    enum initial initial;
    double scale;   /* the constant, the standard deviation (before the cut), or half the range */
    uint32_t group; /* part of the network, from 0: the stem, the stages, and the head. VGG: the stages and the rest */
};

struct model_family;
enum { MODEL_STAGES = 5 };

struct model {
    char name[32];                     /* of a described network: the one that it gives itself */
    char *description;                 /* its text; NULL: the name is in the table */
    const struct model_family *family; /* what the name stands for ... */
    struct model_family *own;          /* (of a description; NULL: it is in the table) */
    uint32_t blocks[MODEL_STAGES];     /* ... and its blocks in each stage */
    struct model_options options;      /* defaults filled in, without the name */
    struct parameter *parameters;      /* trained ones and statistics, in the order of the layers */
    size_t count;
    size_t frozen; /* so many parameters, the first of the list, are constants in training: 0, see model_freeze */
    uint64_t parameter_bytes, statistic_bytes; /* of the flat values */
    uint64_t trained_bytes;                    /* of those of what is trained only */
    uint64_t convolution_bytes;                /* prefix of "parameters" that holds the convolution kernels */
    uint64_t kernel_bytes;                     /* prefix that holds the convolution and dense kernels */
    uint64_t trainable, untrained;             /* numbers of values */
    double multiply_adds;                      /* of convolutions and dense layers, forward, one image */
    double l2;                                 /* factor of the penalty on convolution kernels in the loss; 0: none */
};

/* STATUS_USAGE with the rule for a wrong name, depth or image size; STATUS_DATA for a description that is malformed. */
CHECKED enum status model_create(const struct model_options *options, struct model *out);
void model_destroy(struct model *model); /* accepts a zeroed model */

/* The text that names the model wherever it is created again: its name, or its description. */
const char *model_text(const struct model *model);

/* Names of the usual depths, for listings; ends with NULL. */
extern const char *const model_names[];

/* The style's name ("torch", "keras"), and back (STATUS_USAGE for another). */
const char *model_style_name(enum model_style style);
CHECKED enum status model_style_find(const char *name, enum model_style *out);

/* Index of the parameter called `name`, or -1. */
int model_find(const struct model *model, const char *name);

/* Index of the first parameter of the last layer, whose outputs are the classes; what follows belongs to it too. */
size_t model_head(const struct model *model);

/*
 * Index of the first parameter of `layer`: a whole part such as "layer4" or "fc", or less, such as "layer4.1" or
 * "layer4.1.conv2". STATUS_USAGE for a name that is none, with those of the parts.
 */
CHECKED enum status model_find_layer(const struct model *model, const char *layer, size_t *first);

/* From now on only parameters from index `first` on are trained; the others are used as in evaluation, and gradients
 * and the optimizer have no room for them. STATUS_USAGE when less than the last layer would be left. */
CHECKED enum status model_freeze(struct model *model, size_t first);

/* Whether training changes it by gradients. */
bool model_trains(const struct model *model, size_t index);

/* The model's values in one graph. */
struct network {
    tensor_id parameters, statistics; /* the flat persistent roots; TENSOR_NONE: there are no statistics */
    tensor_id *values;                /* views, by index in model->parameters; the caller's array of model->count */
    tensor_id logits;                 /* [n,1,1,classes] */
    tensor_id clock, indices;         /* the caller's, as for gather_batch; TENSOR_NONE: no dropout */
    bool folded;                      /* evaluation, the caller's: the weights are those of train/fold.h */
    bool freeze_norm; /* the caller's: also in training batch normalization uses the running statistics and leaves them
                       */
};

/*
 * Appends the forward nodes for images x [n, height, width, channels]. Training uses the batch's statistics and
 * updates the running ones; otherwise the running ones are used, folded into the convolutions before them.
 * network->values, clock, indices, folded and freeze_norm are the caller's; the rest is filled. Failures show in
 * graph_status.
 */
void model_forward(const struct model *model, struct graph *graph, tensor_id x, bool training, struct network *network);

/* Initial values of parameter `index` (dense, device order): a pure function of (seed, index, element). */
void model_initial(const struct model *model, size_t index, uint32_t seed, double *dense);

/* Shape in files; returns the rank (1, 2 or 4). */
uint32_t parameter_file_shape(const struct parameter *parameter, uint64_t shape[4]);
/* Between dense values in device order and in file order (both shape_count(parameter->shape) long, not the same). */
void parameter_to_file(const struct parameter *parameter, const double *dense, double *file);
void parameter_from_file(const struct parameter *parameter, const double *file, double *dense);

#endif
