#!/bin/sh
# One target under libFuzzer, from the corpus. What it finds new stays in BUILD/found/NAME.
#   sh tests/fuzz/run.sh BUILD NAME SECONDS
set -eu
here=$(cd "$(dirname "$0")" && pwd) build=$1 name=$2 seconds=$3
mkdir -p "$build/found/$name"
cd "$build"
set -- "found/$name"
for folder in "corpus/$name" "$here/corpus/$name"; do
    [ ! -d "$folder" ] || set -- "$@" "$folder"
done
exec ./"fuzz_$name" -max_total_time="$seconds" -timeout=10 -malloc_limit_mb=128 -rss_limit_mb=1024 -max_len=20000 \
    -print_final_stats=1 -artifact_prefix="found/$name-" "$@"
