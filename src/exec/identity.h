/*
 * identity: on what device, with what driver and what kernels something was measured or checked, as JSON: what files in
 * the user's cache folder hold besides their results, which say nothing about others.
 */
#ifndef RVK_EXEC_IDENTITY_H
#define RVK_EXEC_IDENTITY_H

#include "vk/vk.h"

#include <jansson.h>

/* A new object; NULL when memory is short. */
json_t *identity_pack(const struct vk_description *device);

/* NAME-UUID.json in the user's cache folder; free with free(). NULL: there is no such folder. */
char *identity_path(const char *name, const struct vk_description *device);

#endif
