#include "ir/limits.h"

#include "base/args.h"
#include "base/memory.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_LENGTH = 63 };

const struct limit limit_table[LIMIT_COUNT] = {
#define X(name, type, field) {#name, type, offsetof(struct device_facts, field)},
    LIMITS(X)
#undef X
};

uint64_t limit_get(const struct limit *limit, const struct device_facts *facts) {
    const void *field = (const char *)facts + limit->offset;
    const uint32_t *axes = field;
    switch (limit->type) {
    case LIMIT_64:
    case LIMIT_HEAP:
        return *(const uint64_t *)field;
    case LIMIT_32:
    case LIMIT_SUBGROUP:
        return *(const uint32_t *)field;
    case LIMIT_AXES:
        return MAX(MAX(axes[0], axes[1]), axes[2]);
    case LIMIT_FEATURE:
        return *(const bool *)field;
    }
    return 0;
}

void limit_set(const struct limit *limit, struct device_facts *facts, uint64_t value) {
    void *field = (char *)facts + limit->offset;
    uint32_t narrow = (uint32_t)MIN(value, UINT32_MAX), *axes = field;
    switch (limit->type) {
    case LIMIT_64:
    case LIMIT_HEAP:
        *(uint64_t *)field = value;
        break;
    case LIMIT_32:
    case LIMIT_SUBGROUP:
        *(uint32_t *)field = narrow;
        break;
    case LIMIT_AXES:
        axes[0] = axes[1] = axes[2] = narrow;
        break;
    case LIMIT_FEATURE:
        *(bool *)field = value != 0;
        break;
    }
}

/* ---- reading ---- */

static enum status unknown(const char *name) {
    const char *names[LIMIT_COUNT + 1] = {NULL}, *near;
    char list[768] = "";
    for (int i = 0; i < LIMIT_COUNT; i++) {
        names[i] = limit_table[i].name;
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", names[i]);
    }
    near = args_nearest(name, names);
    return fail(STATUS_USAGE, "no limit is called '%s'%s%s%s; there are %s", name, near ? "; did you mean " : "",
                near ? near : "", near ? "?" : "", list);
}

/* 16384, 16KiB, on, off. */
static bool read_value(const char *text, bool feature, uint64_t *value) {
    static const char *const units[] = {"", "KiB", "MiB", "GiB"};
    if (feature && (strcmp(text, "on") == 0 || strcmp(text, "off") == 0)) {
        *value = text[1] == 'n';
        return true;
    }
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    for (size_t i = 0; i < COUNT(units); i++)
        if (strcmp(end, units[i]) == 0) {
            *value = (uint64_t)number << 10 * i;
            return isdigit((unsigned char)text[0]) && *value >> 10 * i == number && (!feature || *value <= 1);
        }
    return false;
}

/* One word between commas. */
static enum status read_word(char *word, struct limits *out) {
    char *equals = strchr(word, '=');
    if (strcmp(word, "minimum") == 0) {
        out->minimum = true;
        return STATUS_OK;
    }
    if (!equals)
        return fail(STATUS_USAGE, "a limit is NAME=VALUE, or minimum, not '%s'", word);
    *equals = '\0';
    for (int i = 0; i < LIMIT_COUNT; i++) {
        bool feature = limit_table[i].type == LIMIT_FEATURE;
        if (strcmp(word, limit_table[i].name) != 0)
            continue;
        if (!read_value(equals + 1, feature, &out->values[i]) || (!feature && out->values[i] == 0))
            return fail(STATUS_USAGE, "%s must be %s, not '%s'", word,
                        feature ? "on or off" : "a whole number above 0 (also with KiB, MiB or GiB)", equals + 1);
        out->given[i] = true;
        return STATUS_OK;
    }
    return unknown(word);
}

enum status limits_read(const char *text, struct limits *out) {
    *out = (struct limits){0};
    while (text && *text) {
        char word[2 * NAME_LENGTH];
        size_t length = strcspn(text, ",");
        if (length >= sizeof word)
            return fail(STATUS_USAGE, "a limit is NAME=VALUE, not '%.*s...'", NAME_LENGTH, text);
        memcpy(word, text, length);
        word[length] = '\0';
        TRY(read_word(word, out));
        text += length + (text[length] == ',');
    }
    return STATUS_OK;
}

/* ---- lowering ---- */

/* A device whose kernels may ask for this size, and no other. */
static enum status lower_subgroups(struct device_facts *facts, uint64_t size) {
    uint32_t least = facts->least_subgroup, most = facts->most_subgroup;
    if (size == facts->subgroup_size)
        return STATUS_OK;
    if (!facts->size_control || least == most)
        return fail(STATUS_USAGE, "subgroupSize=%llu is not possible: the subgroups of %s have %u invocations",
                    (unsigned long long)size, facts->name, facts->subgroup_size);
    if (size < least || size > most || size & (size - 1))
        return fail(STATUS_USAGE, "subgroupSize=%llu is not possible: those of %s are the powers of two from %u to %u",
                    (unsigned long long)size, facts->name, least, most);
    facts->subgroup_size = facts->least_subgroup = facts->most_subgroup = (uint32_t)size;
    return STATUS_OK;
}

/* Without a size that can be required, the order of invocations in a subgroup is known on software devices only. */
static void give_up_size_control(struct device_facts *facts) {
    facts->least_subgroup = facts->most_subgroup = 0;
    facts->subgroup_shuffle &= facts->kind == DEVICE_CPU;
}

static void lower(const struct limit *limit, struct device_facts *facts, uint64_t value) {
    uint32_t *axes = (uint32_t *)((char *)facts + limit->offset);
    if (limit->type != LIMIT_AXES)
        limit_set(limit, facts, value);
    for (int i = 0; i < 3 && limit->type == LIMIT_AXES; i++)
        axes[i] = (uint32_t)MIN(axes[i], value);
}

enum status limits_apply(const struct limits *limits, struct device_facts *facts) {
    struct device_facts lowered = *facts, minimum;
    facts_minimum(&minimum);
    for (int i = 0; i < LIMIT_COUNT; i++) {
        const struct limit *limit = &limit_table[i];
        uint64_t offered = limit_get(limit, facts), value = limits->values[i];
        bool all = limits->minimum && limit->type != LIMIT_HEAP;
        if (limit->type == LIMIT_SUBGROUP || (!limits->given[i] && !all))
            continue;
        if (!limits->given[i])
            value = MIN(offered, limit_get(limit, &minimum));
        if (value > offered)
            return fail(STATUS_USAGE, "%s=%llu is above what %s has, %llu: limits can only be lowered", limit->name,
                        (unsigned long long)value, facts->name, (unsigned long long)offered);
        lower(limit, &lowered, value);
    }
    if (!lowered.size_control)
        give_up_size_control(&lowered);
    if (limits->given[LIMIT_NUMBER_subgroupSize])
        TRY(lower_subgroups(&lowered, limits->values[LIMIT_NUMBER_subgroupSize]));
    *facts = lowered;
    return STATUS_OK;
}

bool limits_print(const struct device_facts *offered, const struct device_facts *facts, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < LIMIT_COUNT; i++) {
        uint64_t had = limit_get(&limit_table[i], offered), has = limit_get(&limit_table[i], facts);
        if (has != had && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s %llu (of %llu)", used ? ", " : "",
                                     limit_table[i].name, (unsigned long long)has, (unsigned long long)had);
    }
    return used > 0;
}
