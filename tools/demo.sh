#!/bin/sh
# The whole way on real images: installs what is missing, builds, trains a residual network on Fashion-MNIST, evaluates it
# on the test images, shows predictions, and leaves checkpoints, log and learning curves in runs/demo.
#   sh tools/demo.sh
# How long it trains follows from the measured speed: about 3 minutes on a processor, up to 10 on a graphics card.
# RESNET_VK_DEVICE chooses the device; RESNET_VK_DATA=fashion-mnist:DIR the folder of the data set, where there is no
# Debian package for it.
set -eu
cd "$(dirname "$0")/.."
program=build/resnet-vk
began=$(date +%s)

title() {
    printf '\n== %s (%d s)\n' "$1" $(($(date +%s) - began))
}

title "What is needed"
sh tools/setup.sh
title "Build"
cmake --preset release -G Ninja >/dev/null
cmake --build build --target resnet-vk -- --quiet

# A fresh folder: runs/demo, runs/demo-2, ...
out=runs/demo
number=1
while [ -e "$out" ]; do
    number=$((number + 1))
    out=runs/demo-$number
done

# The network for a processor is the smallest of the family, trained on as many images as it can see twice in the time;
# a graphics card gets the one from the paper, all images, and more epochs.
title "How fast is this device?"
bench=$($program bench --model resnet8 --batch 64 --samples 5 --json)
device=$(echo "$bench" | sed -n 's/.*"device":{"name":"\([^"]*\)".*/\1/p')
kind=$(echo "$bench" | sed -n 's/.*"kind":"\([^"]*\)".*/\1/p')
speed=$(echo "$bench" | sed -n 's/.*"images_per_s":\([0-9]*\).*/\1/p')
echo "$device ($kind): $speed images/s in training resnet8"
if [ "$kind" = cpu ] && [ "$speed" -lt 5000 ]; then
    images=$((speed * 160 / 2 / 1000 * 1000))
    [ $images -ge 4000 ] || images=4000
    [ $images -le 60000 ] || images=60000
    set -- --model resnet8 --batch 64 --train-limit $images --epochs 2 --lr 0.1 --augment flip
else
    epochs=$((speed / 3 * 600 / 57000))
    [ $epochs -ge 3 ] || epochs=3
    [ $epochs -le 20 ] || epochs=20
    set -- --model resnet20 --batch 128 --epochs $epochs --lr 0.2
fi

title "Training"
set -- --schedule onecycle --validation-split 0.05 --out "$out" "$@"
echo "resnet-vk train $*"
$program train "$@"

title "Evaluation on the test images"
$program eval --weights "$out/last.safetensors" >"$out/eval.txt"
cat "$out/eval.txt"

title "Predictions"
$program predict --weights "$out/last.safetensors" --count 2 --pictures always
$program predict --weights "$out/last.safetensors" --first 2 --count 8 --pictures never

title "Done"
sed -n 's/loss .*, accuracy \([0-9.]*\) on \([0-9]*\) images.*/Test accuracy: \1 of \2 images/p' "$out/eval.txt"
cat <<END
$out holds the checkpoints last.safetensors and best.safetensors, the learning curves curve.svg, the log
as log.jsonl and log.csv, and the evaluation eval.txt. More: build/resnet-vk --help, README.md
END
