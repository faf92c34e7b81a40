/* An entry of the cache of thumbnails, whose first bytes are the key that it is asked for. */
#include "fuzz.h"

#include "data/thumbnails.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct thumbnail_key key;
    struct picture picture = {0};
    if (size < sizeof key)
        return 0;
    memcpy(&key, bytes, sizeof key);
    if (thumbnail_parse(bytes + sizeof key, size - sizeof key, &key, &picture)) {
        volatile uint8_t last = picture.pixels[(size_t)3 * picture.width * picture.height - 1];
        (void)last;
    }
    picture_destroy(&picture);
    return 0;
}
