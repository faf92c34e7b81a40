#!/bin/sh
# Installs what the tests need, builds with warnings as errors and runs every test.
#   sh tools/test.sh
set -eu
cd "$(dirname "$0")/.."
sh tools/setup.sh --tests
cmake --preset release -G Ninja >/dev/null
cmake --build build
ctest --test-dir build --output-on-failure
