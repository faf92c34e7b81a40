/*
 * sanitizer: linked into the program and the tests of an AddressSanitizer build. Leaks inside the validation layer are
 * not ours; to know whose a leak is, its library must still be loaded at the end, so nothing is unloaded. What a driver
 * keeps in its variables (Mesa's does, in some versions) is then no leak either.
 */
const char *__lsan_default_suppressions(void);
int dlclose(void *library);

const char *__lsan_default_suppressions(void) {
    return "leak:libVkLayer_khronos_validation\n";
}

int dlclose(void *library) {
    (void)library;
    return 0;
}
