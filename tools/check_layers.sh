#!/bin/sh
# Fails when an #include crosses an edge that the design does not have, or when vulkan.h is included outside src/vk.
#   sh tools/check_layers.sh [DIR]      DIR holds src/ and include/ (default: this checkout)
set -euf
root=${1:-$(dirname "$0")/..}
cd "$root"

# Who may include whom.
allowed() {
    case $1 in
    base) echo base ;;
    ir) echo ir base ;;
    vk) echo vk base ir/facts.h ir/limits.h ;;
    ops) # the files of one family (conv.c, conv_plain.c, conv_forms.h) may share headers, no other
        family=$(basename "$2" | sed 's/[_.].*//')
        echo ir base "ops/${family}_*" ;;
    exec) echo exec ir vk base ;;
    picture) echo picture base ;;
    data) echo data picture base ;;
    model) echo model ir base ;;
    weights) echo weights data model ir base ;;
    train) echo train weights model data exec ir base ;;
    api) echo api train weights model data exec ir vk base resnet_vk.h ;;
    cli) echo cli picture base resnet_vk.h ;;
    *) echo "" ;;
    esac
}

bad=0
for file in $(find src -name '*.[ch]' | sort); do
    layer=${file#src/}
    layer=${layer%%/*}
    rules=$(allowed "$layer" "$file")
    for target in $(sed -n 's/^#include "\([^"]*\)".*/\1/p' "$file"); do
        ok=no
        for rule in $rules; do
            # shellcheck disable=SC2254 # a rule may be a pattern
            case $target in $rule | $rule/*) ok=yes ;; esac
        done
        if [ $ok = no ]; then
            echo "$file: a file of src/$layer may not include \"$target\" (allowed: $rules)"
            bad=1
        fi
    done
    if [ "$layer" != vk ] && grep -q '#include <vulkan' "$file"; then
        echo "$file: only src/vk may include vulkan.h"
        bad=1
    fi
done
exit $bad
