#include "data/imagenet.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *synset, const void *class) {
    return strcmp(synset, ((const struct imagenet_class *)class)->synset);
}

const char *imagenet_find(const char *synset) {
    const struct imagenet_class *found =
        bsearch(synset, imagenet_classes, IMAGENET_CLASSES, sizeof *imagenet_classes, compare);
    return found ? found->name : NULL;
}
