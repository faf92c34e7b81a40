#!/bin/sh
# Compiles every kernel of a training step with the compilers of GPUs that are not there, and prints what these say: no
# kernel runs, the shares of peak are estimates from the instructions of the hot loop. docs/gpu.txt keeps the output.
#   sh tools/gpu_table.sh LAB [MODEL...]         MODEL: default resnet20 resnet50
#   sh tools/gpu_table.sh --compile LAB [GPU...] compiles what training and inference of all kinds of networks use, and every
#                                                other kernel, for more GPUs; exit code 1 when one fails or spills registers
# LAB is a folder with two programs: `run DRIVER PROGRAM...` runs a program on the pretended GPU that the variable GPU
# names; `spvstat` prints a compiler's statistics of one SPIR-V file as JSON.
# PROGRAM (default build/resnet-vk) and GPUS (default: all of the table below) may be set in the environment.
set -eu
cd "$(dirname "$0")/.."
compile=no
if [ "$1" = --compile ]; then
    compile=yes
    shift
fi
lab=$1
shift
program=${PROGRAM:-build/resnet-vk}
spirv=$(dirname "$program")/spirv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work" MESA_SHADER_CACHE_DISABLE=true

# GPU, and what a convolution there should reach: share of peak, LDS bytes and other instructions a multiply-add, waves.
bars='amd:vega10 0.55 1.1 0.25 0
amd:navi21 0.60 1.1 0.25 4
amd:navi31 0.85 1.1 0.25 4
amd:navi48 0.85 1.1 0.25 4
intel:0x56a0 0.36 1.65 0.25 0
intel:0xe20b 0.36 1.65 0.25 0
nvidia:0x162 0.58 1.1 0.25 0
nvidia:0x172 0.40 1.1 0.25 0'

driver() {
    case $1 in amd:*) echo radeon ;; intel:*) echo intel ;; *) echo nouveau ;; esac
}

# Large images go with small batches.
batch() {
    case $1 in resnet18 | resnet34 | resnet50 | resnet101 | resnet152 | resnext* | wide* | vgg??*) echo 8 ;; *) echo 128 ;; esac
}

phases=train
# A line for each pipeline: kernel, constants (- for none), subgroup size, flop of all models' steps, uses, first use.
list_pipelines() {
    for model; do
        for phase in $phases; do
            GPU=$gpu "$lab/run" "$(driver "$gpu")" "$program" bench --model "$model" --batch "$(batch "$model")" \
                --phase "$phase" --no-self-test --print-plan --samples 5 2>/dev/null
        done
    done | awk '
        $1 ~ /^[0-9]+$/ && NF > 5 {
            use = ""
            for (i = 2; i < NF; i++)
                if ($i ~ /^x[0-9]+$/) { use = $(i - 2); break }
            for (; i <= NF; i++)
                if ($i ~ /^(x|dy|weight|residual\?|a|logits|parameters)=/ && !index(use, $i)) {
                    sub(/@.*/, "", $i)
                    use = use " " $i
                }
        }
        $2 ~ /^constants=/ {
            for (i = 2; i <= 5; i++)
                sub(/.*=/, "", $i)
            key = $1 " " ($2 == "" ? "-" : $2) " " $3
            if (!(key in uses))
                first[key] = use
            flops[key] += $5
            uses[key]++
        }
        END {
            for (key in uses)
                print key, flops[key], uses[key], first[key]
        }' | sort -k1,1 -k2,2n
}

# Appends the statistics, as one JSON line, to each line of the list.
measure() {
    while read -r kernel constants subgroup rest; do
        set -- -m
        [ "$constants" = - ] || set -- "$@" -S "$constants"
        [ "$subgroup" = 0 ] || set -- "$@" -w "$subgroup"
        printf '%s %s %s %s\t' "$kernel" "$constants" "$subgroup" "$rest"
        GPU=$gpu "$lab/run" "$(driver "$gpu")" "$lab/spvstat" "$@" "$spirv/$kernel.spv" 2>/dev/null
    done
}

print_table() {
    awk -F '\t' -v bar="$bar" '
        function number(json, key) { # the first number of this name, 0 without one
            if (!match(json, "\"" key "\":[-0-9.e+]+"))
                return 0
            return substr(json, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0
        }
        function total(json, keys, list, count, sum) {
            for (count = split(keys, list, "/"); count; count--)
                sum += number(json, list[count])
            return sum
        }
        # How often the loop inside the one that brings the operands runs: over rows of taps, or runs of pixels.
        function trips(kernel, constants, c) {
            split(constants, c, ",")
            return kernel ~ /^conv2d_tile_weight/ ? c[3] * c[4] * c[5] / c[6] / c[2] : kernel ~ /^conv2d_tile/ ? c[10] : 1
        }
        # Sums of the two loops: `outer` counts one trip of `inner`, or more where a compiler wrote them out.
        function sum(key) {
            return number(outer, key) + (inner == outer ? 0 : (runs - copies) * number(inner, key))
        }
        # The loop with the most multiply-adds, and the shortest one that has a good part of them.
        function find_loops(json, loop, count, i, macs, insts) {
            count = split(substr(json, index(json, "\"loops\":")), loop, "},{")
            outer = count > 1 || loop[1] ~ /macs/ ? loop[1] : substr(json, index(json, "\"hot\":"))
            for (i = 1; i <= count; i++) {
                macs = number(loop[i], "macs") - number(outer, "macs")
                if (macs > 0 || (macs == 0 && number(loop[i], "insts") > number(outer, "insts")))
                    outer = loop[i]
            }
            inner = outer
            for (i = 1; i <= count; i++) {
                insts = number(loop[i], "insts")
                if (4 * number(loop[i], "macs") >= number(outer, "macs") && insts < number(inner, "insts"))
                    inner = loop[i]
            }
            copies = int(number(outer, "macs") / number(inner, "macs") + 0.5)
        }
        BEGIN {
            split(bar, want, " ")
            lowest = 9
            printf "%-38s %-32s %4s %5s %5s %6s %6s %5s %5s %5s %6s %6s  %s\n", "kernel", "constants", "size", "waves",
                   "regs", "spills", "access", "flop", "LDS", "other", "bound", "share", "first of its uses"
        }
        {
            split($1, field, " ")
            first = $1
            sub(/^[^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ /, "", first)
            whole = substr($2, index($2, "\"whole\":"))
            spills = total($2, "Spilled SGPRs/Spilled VGPRs/Scratch size/Spills/Spills to memory/Scratch Memory Size")
            waves = number($2, "waves_per_simd") + number($2, "Max warps.SM") / 4
            registers = total($2, "VGPRs/Number of GPRs/Max live registers")
            size = number($2, "subgroup")
            # Bytes a clock of the cache behind one SIMD, as the statistics assume it.
            rate = gpu ~ /vega/ ? 16 : gpu ~ /amd/ ? 64 : gpu ~ /nvidia/ ? 16 : gpu ~ /0x56a0/ ? 4 : 8
            accesses = number(whole, "vmem_load") + number(whole, "vmem_store")
            access = accesses ? number(whole, "vmem_clk") * rate / size / accesses : 0
            text = sprintf("%-38s %-32s %4d %5.1f %5d %6d %6.1f", field[1], field[2], size, waves, registers, spills,
                           access)
            all_spills += spills
            if (field[4] == 0) {
                printf "%s %37s %s\n", text, "", first
                next
            }
            find_loops($2)
            runs = trips(field[1], field[2])
            macs = sum("macs")
            read = number(outer, "lds_bytes_per_mac") * number(outer, "macs")
            lds = (read + (macs - number(outer, "macs")) * number(inner, "lds_bytes_per_mac")) / macs
            other = (sum("alu") + sum("trans") + sum("quarter")) / (sum("fma") + sum("dual"))
            clocks = sum("alu_clk") > sum("issue_clk") ? sum("alu_clk") : sum("issue_clk")
            # The clocks that the multiply-adds alone would take, by the share of the peak of this loop with arithmetic alone.
            ideal = number(inner, "peak_frac_fma_serial") * (number(inner, "lds_clk") + number(inner, "vmem_clk") + \
                    (number(inner, "alu_clk") > number(inner, "issue_clk") ? number(inner, "alu_clk") : number(inner, "issue_clk")))
            share = ideal * macs / number(inner, "macs") / (clocks + sum("lds_clk") + sum("vmem_clk"))
            match(inner, /"bound":"[a-z]+/)
            below = field[1] ~ /^conv2d/ && (share < want[2] || lds > want[3] || other > want[4] || waves < want[5] || spills)
            printf "%s %5.1f %5.2f %5.2f %6s %6.3f%s %s\n", text, field[4] / 1e9, lds, other,
                   substr(inner, RSTART + 9, RLENGTH - 9), share, below ? "-" : " ", first
            if (field[1] !~ /^conv2d/)
                next
            flops += field[4]
            time += field[4] / share
            reached += below ? 0 : field[4]
            if (share < lowest)
                lowest = share
        }
        END {
            printf "%s: share of peak %.3f over all convolutions (asked: %s), lowest %.3f; %.1f %% of their flop are in " \
                   "kernels without a shortfall (-); %d spills\n\n", want[1], flops / time, want[2], lowest,
                   100 * reached / flops, all_spills
        }' gpu="$gpu" -
}

# The kernels that no plan of the list has, with the constants that they have by themselves. GPUs use no texels, and
# convolutions not without a plan's constants.
list_others() {
    for file in "$spirv"/*.spv; do
        name=$(basename "$file" .spv)
        case $name in *.texels | conv2d_*) continue ;; esac
        grep -q "^$name " "$1" || echo "$name - 0 0 0 by itself"
    done
}

# Prints the pipelines that fail, and how many there are.
judge() {
    awk -F '\t' -v gpu="$gpu" '
        function number(json, key) {
            if (!match(json, "\"" key "\":[-0-9.e+]+"))
                return 0
            return substr(json, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0
        }
        {
            count = split("Spilled SGPRs/Spilled VGPRs/Scratch size/Spills/Spills to memory/Scratch Memory Size", list, "/")
            for (spills = 0; count; count--)
                spills += number($2, list[count])
            if ($2 !~ /"whole":/ || spills) {
                print gpu ": " $1 ($2 ~ /"whole":/ ? ": " spills " spills" : ": does not compile")
                bad++
            }
        }
        END {
            printf "%s: %d pipelines, %d with a fault\n", gpu, NR, bad
            exit bad > 0
        }' -
}

if [ $compile = yes ]; then
    [ $# -gt 0 ] || set -- amd:vega10 amd:polaris10 amd:navi21 amd:navi31 amd:navi48 intel:0x56a0 intel:0xe20b intel:0x9a49 \
        intel:0x4680 intel:0x64a0 intel:0x3e92 nvidia:0x162 nvidia:0x172 nvidia:0x192
    phases='train infer'
    faults=0
    for gpu; do
        list_pipelines resnet20 resnet20a resnet29v2 resnet18 resnet50 resnext50_32x4d vgg16_bn vgg16c </dev/null >"$work/list"
        list_others "$work/list" >>"$work/list"
        measure <"$work/list" | judge || faults=1
    done
    exit $faults
fi

[ $# -gt 0 ] || set -- resnet20 resnet50
cat <<'END'
Kernels of a training step as compilers of GPUs make them; written by tools/gpu_table.sh. No kernel ran.
size: subgroup. waves: subgroups a SIMD holds. access: bytes of a load or store of memory. flop: in 1e9, of all steps.
LDS: bytes of shared memory a multiply-add, other: arithmetic besides multiply-adds. share: of the peak of float32
multiply-adds, if arithmetic, shared memory and caches work one after the other; -: below what is asked.

END
echo "$bars" | while read -r bar; do
    gpu=${bar%% *}
    case " ${GPUS:-$gpu} " in *" $gpu "*) ;; *) continue ;; esac
    GPU=$gpu "$lab/run" "$(driver "$gpu")" "$lab/spvstat" -i </dev/null 2>/dev/null |
        sed 's/^{"device":"\([^"]*\)","driver":"\([^"]*\)".*/== \1, \2/' && echo
    list_pipelines "$@" </dev/null >"$work/list"
    measure <"$work/list" | print_table
done
