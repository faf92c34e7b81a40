/*
 * description: networks that the table of families does not have, as JSON: {"kind": "basic", "blocks": [2, 2, 2, 2]}.
 * See docs/models.md for the keys.
 */
#ifndef RVK_MODEL_DESCRIPTION_H
#define RVK_MODEL_DESCRIPTION_H

#include "model/family.h"

struct description {
    struct model_family family;
    uint32_t blocks[MODEL_STAGES];
    char name[32]; /* for messages and listings */
    char *text;    /* the same description in one spelling, in one line */
};

/* Whether a model's name is the path of such a file (it ends with ".json") or the text itself (it begins with '{'). */
bool description_is(const char *name);

/*
 * Reads either. STATUS_DATA with a sentence that names the file, the key and its limit: no such file, no JSON, an
 * unknown key or one that this kind has not, a wrong type, a number that is out of range. Free out->text with free();
 * it is NULL on failure.
 */
CHECKED enum status description_read(const char *name, struct description *out);

#endif
