#!/bin/sh
# Installs what the tests need, checks the format of the sources, builds with warnings as errors, runs every test, and
# runs the tests once more under AddressSanitizer and UndefinedBehaviorSanitizer. At the end, a report of speed.
#   sh tools/test.sh [--quick]          --quick leaves the sanitizers and the report out
set -eu
cd "$(dirname "$0")/.."
quick=no
[ "${1:-}" = --quick ] && quick=yes
sh tools/setup.sh --tests

if command -v clang-format >/dev/null 2>&1; then
    find src include tests -name '*.[ch]' -exec clang-format --dry-run --Werror {} +
fi

# Configures, builds and tests a preset; further arguments are for ctest.
check() {
    preset=$1 folder=$2
    shift 2
    echo "== $preset =="
    cmake --preset "$preset" -G Ninja >/dev/null
    cmake --build "$folder" -- --quiet
    ctest --test-dir "$folder" --output-on-failure "$@"
}

check release build
# Other drivers and the long programs show the sanitizers no other code of ours.
[ $quick = yes ] || check asan build-asan -E '\.(swiftshader|validated)$|^(mutants|learn)$'
