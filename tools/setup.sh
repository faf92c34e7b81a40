#!/bin/sh
# Installs what building, running and testing need, where it is missing: packages of the distribution only.
#   sh tools/setup.sh [--tests]
# On Debian and its relatives it calls apt-get (as root, or through sudo). Elsewhere it names what is missing.
# With CI=true, --tests also brings SwiftShader (from chromium-common, 44 MB), as a second driver to test on.
set -eu

build="gcc cmake ninja-build pkg-config glslang-tools spirv-tools libvulkan-dev zlib1g-dev libjansson-dev libjpeg62-turbo-dev libspng-dev libzip-dev libarchive-dev"
run="mesa-vulkan-drivers dataset-fashion-mnist"
tests="libcmocka-dev vulkan-validationlayers clang-format"
swiftshader="chromium-common"

packages="$build $run"
if [ "${1:-}" = --tests ]; then
    packages="$packages $tests"
    [ "${CI:-}" = true ] && packages="$packages $swiftshader"
fi

if command -v apt-get >/dev/null 2>&1; then
    missing=
    for package in $packages; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -z "$missing" ] && exit 0
    sudo=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || { echo "setup: run as root, or install sudo; missing packages:$missing" >&2; exit 1; }
        sudo=sudo
    fi
    echo "setup: installing$missing" >&2
    log=$(mktemp)
    # shellcheck disable=SC2086 # words of $missing
    if ! { $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
        cat "$log" >&2
        rm "$log"
        echo "setup: apt-get failed" >&2
        exit 1
    fi
    rm "$log"
    exit 0
fi

# Not Debian: say what is missing, in the names of the tools, and how the packages are called elsewhere.
missing=
for tool in cmake ninja pkg-config glslangValidator spirv-opt spirv-val; do
    command -v $tool >/dev/null 2>&1 || missing="$missing $tool"
done
command -v cc >/dev/null 2>&1 || missing="$missing cc"
for library in vulkan zlib jansson libjpeg spng libzip libarchive; do
    pkg-config --exists $library 2>/dev/null || missing="$missing $library(headers)"
done
[ -z "$missing" ] && exit 0
echo "setup: missing:$missing" >&2
case "$(uname -s) $(. /etc/os-release 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}")" in
*Darwin*) echo "setup: brew install cmake ninja pkg-config glslang spirv-tools vulkan-headers vulkan-loader molten-vk jansson jpeg-turbo libspng libzip libarchive cmocka" >&2 ;;
*fedora* | *rhel*) echo "setup: sudo dnf install gcc cmake ninja-build pkgconf glslang spirv-tools vulkan-loader-devel vulkan-headers mesa-vulkan-drivers zlib-devel jansson-devel libjpeg-turbo-devel libspng-devel libzip-devel libarchive-devel libcmocka-devel vulkan-validation-layers" >&2 ;;
*arch*) echo "setup: sudo pacman -S gcc cmake ninja pkgconf glslang spirv-tools vulkan-icd-loader vulkan-headers vulkan-swrast zlib jansson libjpeg-turbo libspng libzip libarchive cmocka vulkan-validation-layers" >&2 ;;
*) echo "setup: install a C compiler, CMake, Ninja, pkg-config, glslang, SPIRV-Tools, the Vulkan headers and loader, a Vulkan driver, zlib, Jansson, libjpeg-turbo, libspng, libzip and libarchive" >&2 ;;
esac
exit 1
