/* loader_trap: stands in for the Vulkan loader and ends the process that opens it. */
#include <stdio.h>
#include <unistd.h>

enum { TRAPPED = 99 };

__attribute__((constructor)) static void spring(void) {
    fputs("the Vulkan loader was opened\n", stderr);
    _exit(TRAPPED);
}
