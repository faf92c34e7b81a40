/*
 * fuzz: what the fuzz targets share.
 *
 * A target is one file with LLVMFuzzerTestOneInput, which hands the bytes to a parser the way the program does. Linked
 * with libFuzzer it is guided by coverage (ctest -L fuzz); linked with fuzz_main.c it runs its corpus and mutations of
 * it, with any compiler.
 */
#ifndef RVK_FUZZ_H
#define RVK_FUZZ_H

#include "base/status.h"
#include "vk/vk.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The folder of this process's files; it is removed at the end. */
const char *fuzz_folder(void);

/* Writes the bytes to `name` in that folder. The path is valid until the next call. */
const char *fuzz_file(const char *name, const uint8_t *bytes, size_t size);

/*
 * What a parser may answer to bytes: STATUS_OK, or a refusal in one printable sentence. Anything else, and above all
 * STATUS_MEMORY (a number in the input was believed), ends the program.
 */
void fuzz_answer(enum status status);

/* The CPU reference, opened at the first call. */
struct vk_device *fuzz_device(void);

/*
 * A safetensors file from the input, free with free(). One that starts with '{' is the header's text up to the end of
 * the line, to which the length is added here, and then the data: so mutations of the text get past the length.
 */
uint8_t *fuzz_safetensors(const uint8_t *bytes, size_t size, size_t *file_size);

#endif
