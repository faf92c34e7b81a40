/* JPEG and PNG files and the EXIF data in them, and what may be made of the pixels. */
#include "fuzz.h"

#include "picture/internal.h"

enum { PIXELS_LIMIT = 1 << 20, SIDE = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static uint8_t out[3 * SIDE * SIDE];
    struct picture picture = {0};
    uint32_t orientation = exif_orientation(bytes, size);
    if (orientation < 1 || orientation > 8)
        fuzz_answer(STATUS_MEMORY);
    fuzz_answer(picture_decode_limited(bytes, size, SIDE, PIXELS_LIMIT, &picture));
    picture_destroy(&picture);
    enum status status = picture_decode_limited(bytes, size, 0, PIXELS_LIMIT, &picture);
    fuzz_answer(status);
    if (status == STATUS_OK) {
        fuzz_answer(picture_evaluation(&picture, SIDE, SIDE, out));
        fuzz_answer(picture_augment(&picture, &picture_augment_defaults, 1, 2, (uint32_t)size, SIDE, out));
    }
    picture_destroy(&picture);
    return 0;
}
