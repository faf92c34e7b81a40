#!/bin/sh
# Installs what the tests need, checks the format of the sources, builds with warnings as errors, runs the tests, and
# runs the tests once more under AddressSanitizer and UndefinedBehaviorSanitizer. At the end, a report of speed.
#   sh tools/test.sh [--quick | --long]   --quick leaves the sanitizers and the report out;
#                                         --long also runs the tests labelled long: more rounds, fuzzing
set -eu
cd "$(dirname "$0")/.."
quick=no long=no
[ "${1:-}" = --quick ] && quick=yes
[ "${1:-}" = --long ] && long=yes
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

if [ $long = yes ]; then check release build; else check release build -LE '^long$'; fi
# Other drivers and the long programs show the sanitizers no other code of ours.
[ $quick = yes ] || check asan build-asan -LE '^long$' -E '\.(swiftshader|validated)$|^(mutants|learn)$'
