#include "cli/confusion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum rvk_status confusion_create(const struct rvk_answer *answers, uint32_t count, uint32_t classes,
                                 struct confusion *out) {
    *out = (struct confusion){.classes = classes};
    uint32_t *numbers = calloc((size_t)classes * classes + 2 * (size_t)classes, sizeof *numbers);
    if (!numbers)
        return cli_fail(RVK_MEMORY, "out of host memory for a matrix of %u classes", classes);
    out->truly = numbers;
    out->answered = numbers + classes;
    out->matrix = numbers + 2 * (size_t)classes;
    for (uint32_t i = 0; i < count; i++) {
        if (answers[i].label >= classes || answers[i].best >= classes)
            continue;
        out->images++;
        out->truly[answers[i].label]++;
        out->answered[answers[i].best]++;
        out->matrix[(size_t)answers[i].label * classes + answers[i].best]++;
    }
    return RVK_OK;
}

void confusion_destroy(struct confusion *confusion) {
    free(confusion->truly);
    *confusion = (struct confusion){0};
}

uint32_t confusion_at(const struct confusion *confusion, uint32_t truly, uint32_t answered) {
    return confusion->matrix[(size_t)truly * confusion->classes + answered];
}

static double share(uint32_t part, uint32_t whole) {
    return whole ? (double)part / whole : (double)NAN;
}

double confusion_recall(const struct confusion *confusion, uint32_t class_index) {
    return share(confusion_at(confusion, class_index, class_index), confusion->truly[class_index]);
}

double confusion_precision(const struct confusion *confusion, uint32_t class_index) {
    return share(confusion_at(confusion, class_index, class_index), confusion->answered[class_index]);
}

/* Puts the pair where it belongs in the descending list of *count pairs, of which the last may fall out. */
static void insert(struct confused *pairs, uint32_t *count, uint32_t most, struct confused pair) {
    uint32_t at = *count;
    while (at > 0 && pairs[at - 1].count < pair.count)
        at--;
    if (at == most)
        return;
    *count += *count < most;
    memmove(pairs + at + 1, pairs + at, (*count - at - 1) * sizeof *pairs);
    pairs[at] = pair;
}

uint32_t confusion_worst(const struct confusion *confusion, struct confused *pairs, uint32_t most) {
    uint32_t count = 0;
    for (uint32_t row = 0; row < confusion->classes; row++)
        for (uint32_t column = 0; column < confusion->classes; column++) {
            uint32_t images = confusion_at(confusion, row, column);
            if (images && row != column)
                insert(pairs, &count, most, (struct confused){row, column, images});
        }
    return count;
}
