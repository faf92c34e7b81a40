/*
 * imagenet: the names of ImageNet's 1000 classes (ILSVRC 2012), from imagenet_classes.txt.
 */
#ifndef RVK_DATA_IMAGENET_H
#define RVK_DATA_IMAGENET_H

enum { IMAGENET_CLASSES = 1000 };

/* In the order of the classes, which is that of the synsets too. */
extern const struct imagenet_class {
    const char *synset, *name; /* "n01440764", "tench" */
} imagenet_classes[IMAGENET_CLASSES];

/* The name of a synset; NULL for any other text. */
const char *imagenet_find(const char *synset);

#endif
