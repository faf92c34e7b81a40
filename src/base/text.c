#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

size_t text_character(const char *text) {
    const uint8_t *bytes = (const uint8_t *)text;
    if (bytes[0] < 0x80)
        return bytes[0] != 0;
    size_t length = bytes[0] < 0xE0 ? 2 : bytes[0] < 0xF0 ? 3 : 4;
    uint32_t code = bytes[0] & (0xFFu >> (length + 1));
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (bytes[0] < 0xC2 || bytes[0] > 0xF4)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xC0) != 0x80) /* also at the end of the text */
            return 0;
        code = code << 6 | (bytes[i] & 0x3F);
    }
    bool surrogate = code >= 0xD800 && code < 0xE000;
    return code >= smallest[length] && code <= 0x10FFFF && !surrogate ? length : 0;
}

size_t text_length(const char *text) {
    size_t count = 0;
    for (size_t length; *text; text += length ? length : 1, count++)
        length = text_character(text);
    return count;
}

/* C0 and C1: what moves a cursor, and what HTML does not allow. Tab and line feed too: a name has none. */
static bool is_control(const char *text, size_t length) {
    const uint8_t *bytes = (const uint8_t *)text;
    return (length == 1 && (bytes[0] < 0x20 || bytes[0] == 0x7F)) ||
           (length == 2 && bytes[0] == 0xC2 && bytes[1] < 0xA0);
}

static const char *reference(char character) {
    switch (character) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void text_escape(FILE *out, const char *text) {
    for (size_t length; *text; text += length ? length : 1) {
        length = text_character(text);
        if (length == 0 || is_control(text, length))
            fputs(replacement, out);
        else if (reference(*text))
            fputs(reference(*text), out);
        else
            fwrite(text, 1, length, out);
    }
}

void text_print(FILE *out, const char *text) {
    for (size_t length; *text; text += length ? length : 1) {
        length = text_character(text);
        if (is_control(text, length))
            fputc('?', out);
        else
            fwrite(text, 1, length ? length : 1, out);
    }
}

char *text_valid(const char *text) {
    char *copy = malloc(3 * strlen(text) + 1), *end = copy;
    for (size_t length; copy && *text; text += length ? length : 1) {
        length = text_character(text);
        const char *from = length ? text : replacement;
        size_t size = length ? length : 3;
        memcpy(end, from, size);
        end += size;
    }
    if (copy)
        *end = 0;
    return copy;
}
