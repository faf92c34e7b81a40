// Of which classes an image is, for the loss and its gradient.
#include "softmax.glsl"

INPUT_UINT(1, target);

struct Wanted {
    uint place, other; // classes
    float share;       // of the latter, which may be missing: then 0
    bool counts;       // false: a row without a target, or past the last
};

Wanted find_wanted(uint row) {
    Wanted wanted;
    uint place = target[min(row, images - 1u)];
    wanted.counts = row < images && place < classes;
    wanted.place = min(place, classes - 1u);
    wanted.other = wanted.place;
    wanted.share = 0.0;
    if (target_stride != 0u) {
        uint other = target[target_stride + min(row, images - 1u)];
        wanted.share = other < classes ? float(target[2u * target_stride + min(row, images - 1u)]) / 16777216.0 : 0.0;
        wanted.other = min(other, classes - 1u);
    }
    return wanted;
}
