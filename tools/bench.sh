#!/bin/sh
# Reports how fast a few ops and models run on this machine, one line each, and what the device can do at its best. It
# takes less than half a minute and judges nothing: speed depends on what else the machine does.
#   sh tools/bench.sh [PROGRAM]         PROGRAM: default build/resnet-vk
set -eu
cd "$(dirname "$0")/.."
program=${1:-build/resnet-vk}

# The second line of a report: time, spread, rate.
report() {
    name=$1
    shift
    printf '%-34s ' "$name"
    "$program" bench --seconds 1 "$@" 2>/dev/null | sed -n 2p
}

pad='pad_top=1 pad_bottom=1 pad_left=1 pad_right=1'
"$program" bench --peak
report 'conv2d 32x32x16' --op conv2d --shape "x=128x32x32x16 weight=3x3x16x16 $pad"
report 'conv2d 8x8x64' --op conv2d --shape "x=128x8x8x64 weight=3x3x64x64 $pad"
report 'conv2d_backward_input 16x16x32' --op conv2d_backward_input \
    --shape "dy=128x16x16x32 weight=3x3x32x32 h=16 w=16 $pad"
report 'conv2d_backward_weight 16x16x32' --op conv2d_backward_weight \
    --shape "x=128x16x16x32 dy=128x16x16x32 kh=3 kw=3 $pad"
report 'batch_norm_statistics 32x32x16' --op batch_norm_statistics --shape x=128x32x32x16
report 'add 32x32x16' --op add --shape 'a=128x32x32x16 b=128x32x32x16'
report 'resnet20, train, batch 32' --model resnet20 --batch 32
report 'resnet20, infer, batch 32' --model resnet20 --batch 32 --phase infer
report 'resnet20, infer, batch 1' --model resnet20 --batch 1 --phase infer
