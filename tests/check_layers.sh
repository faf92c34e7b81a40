#!/bin/sh
# The layer check passes on this tree and fails on a tree with a forbidden include.
set -eu
root=$1
sh "$root/tools/check_layers.sh" "$root"
planted=$(mktemp -d)
trap 'rm -rf "$planted"' EXIT
mkdir -p "$planted/src/ops" "$planted/src/ir" "$planted/src/data" "$planted/src/picture"
echo '#include "vk/vk.h"' >"$planted/src/ops/bad.c"
if sh "$root/tools/check_layers.sh" "$planted" >/dev/null; then echo "an op that includes vk/vk.h passed"; exit 1; fi
echo '#include "ir/op.h"' >"$planted/src/ops/bad.c"
sh "$root/tools/check_layers.sh" "$planted"
echo '#include <vulkan/vulkan.h>' >"$planted/src/ir/bad.c"
if sh "$root/tools/check_layers.sh" "$planted" >/dev/null; then echo "vulkan.h in src/ir passed"; exit 1; fi
echo '#include "ir/op.h"' >"$planted/src/ir/bad.c"
echo '#include "data/dataset.h"' >"$planted/src/picture/bad.c"
if sh "$root/tools/check_layers.sh" "$planted" >/dev/null; then echo "a picture that knows data sets passed"; exit 1; fi
