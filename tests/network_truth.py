#!/usr/bin/env python3
"""Prints tests/network_truth.h: what PyTorch computes in float64 for one step of torchvision's networks, made narrow, with
weights and images that tests/test_truth.c makes by the same formula.

Run once, with Debian's python3-torchvision: python3 tests/network_truth.py >tests/network_truth.h
"""
import math
import textwrap

import numpy
import torch
import torchvision
from torch import nn
from torchvision.models import resnet, vgg

BATCH, CLASSES = 4, 5


# The same numbers as random_bits() of src/base/random.c.
def pcg(value):
    state = (value * 747796405 + 2891336453) & 0xFFFFFFFF
    word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737 & 0xFFFFFFFF
    return (word >> 22) ^ word


def fnv(name):
    value = 2166136261
    for byte in name.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


def random_bits(seed, name, count):
    key = pcg(pcg(seed) ^ fnv(name))
    return pcg(key ^ numpy.arange(count, dtype=numpy.uint64))


def uniform(seed, name, shape):
    """In [-1, 1)."""
    bits = random_bits(seed, name, math.prod(shape))
    return torch.from_numpy((bits >> 8).astype(numpy.float64) * 2.0**-23 - 1).reshape(shape)


def initial(seed, name, shape):
    value = uniform(seed, name, shape)
    if len(shape) > 1:
        return value * 2.0 ** round(math.log2(math.sqrt(6 / math.prod(shape[1:]))))
    if name.endswith("bn3.weight"):  # keeps rounding errors from growing with the depth
        return value / 8 + 0.25
    return 1 + value / 2 if name.endswith(("weight", "running_var")) else value / 4


# ---- networks ----

class Excitation(nn.Module):
    """Hu et al., CVPR 2018, with timm's rule for the width."""

    def __init__(self, channels):
        super().__init__()
        middle = max(8, int(channels / 16 + 4) // 8 * 8)
        self.fc1, self.fc2 = nn.Conv2d(channels, middle, 1), nn.Conv2d(middle, channels, 1)
        self.relu = nn.ReLU()

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(self.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class Block(resnet.BasicBlock):
    def __init__(self, inplanes, planes, *rest, **named):
        super().__init__(inplanes, planes, *rest, **named)
        self.se = Excitation(planes)
        self.bn2 = nn.BatchNorm2d(planes)

    def forward(self, x):
        y = self.se(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Narrow(resnet.ResNet):
    """With another number of filters than 64, or a stem and stages for small images."""

    def __init__(self, block, layers, filters, groups=1, width=64, small=False):
        nn.Module.__init__(self)
        self._norm_layer, self.inplanes, self.dilation, self.groups, self.base_width = nn.BatchNorm2d, filters, 1, groups, width
        self.conv1 = nn.Conv2d(3, filters, *((3, 1, 1) if small else (7, 2, 3)), bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(filters), nn.ReLU()
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        for i in range(4):
            stage = self._make_layer(block, filters << i, layers[i], 1 + (i > 0)) if i < len(layers) else nn.Identity()
            setattr(self, f"layer{i + 1}", stage)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(self.inplanes, CLASSES)


def narrow_vgg(letter, filters, norm):
    layers = vgg.make_layers([c if c == "M" else c * filters // 64 for c in vgg.cfgs[letter]], norm)
    model = vgg.VGG(nn.Identity(), CLASSES, False, 0.0)
    model.features, model.classifier[0] = layers, nn.Linear(8 * filters * 49, 4096)
    return model


NETWORKS = [
    ("resnet20b", 16, 16, lambda f: Narrow(resnet.BasicBlock, [3, 3, 3], f, small=True)),
    ("resnet18", 8, 64, lambda f: Narrow(resnet.BasicBlock, [2, 2, 2, 2], f)),
    ("resnet50", 8, 32, lambda f: Narrow(resnet.Bottleneck, [3, 4, 6, 3], f)),
    ("wide_resnet50_2", 8, 32, lambda f: Narrow(resnet.Bottleneck, [3, 4, 6, 3], f, width=128)),
    ("resnext50_32x4d", 16, 32, lambda f: Narrow(resnet.Bottleneck, [3, 4, 6, 3], f, groups=32, width=4)),
    ("seresnet18", 32, 32, lambda f: Narrow(Block, [2, 2, 2, 2], f)),
    ("vgg11", 4, 64, lambda f: narrow_vgg("A", f, False)),
    ("vgg16_bn", 4, 64, lambda f: narrow_vgg("D", f, True)),
]


# ---- a step ----

def prepare(make, filters, size, seed, dtype):
    model = make(filters)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                value.copy_(initial(seed, name, tuple(value.shape)))
    images = uniform(seed, "input", (BATCH, 3, size, size)) * 2
    return model.to(dtype), images.to(dtype).requires_grad_(True)


def relu_inputs(model, images):
    seen = []
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
            module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    model.train()(images)
    return seen


def has_margin(make, filters, size, seed):
    """No ReLU input is nearer to zero than twice what float32 makes of it: signs are then the same in all programs."""
    single, double = (relu_inputs(*prepare(make, filters, size, seed, t)) for t in (torch.float32, torch.float64))
    return all(d.abs().min() > 2 * (s - d).abs().max() for s, d in zip(single, double))


def project(seed, name, value):
    """Onto a vector of signs."""
    signs = 1 - 2.0 * (random_bits(seed + 1, name, value.numel()) & 1).astype(numpy.float64)
    return float(value.detach().reshape(-1) @ torch.from_numpy(signs))


def numbers(make, filters, size, seed):
    model, images = prepare(make, filters, size, seed, torch.float64)
    result = model.eval()(images).reshape(-1).tolist()
    logits = model.train()(images)
    loss = nn.functional.cross_entropy(logits, torch.arange(BATCH) % CLASSES)
    loss.backward()
    result += logits.reshape(-1).tolist() + [loss.item(), project(seed, "input", images.grad)]
    values = {name: value for name, value in model.named_buffers() if not name.endswith("num_batches_tracked")}
    values.update((name, value.grad) for name, value in model.named_parameters())
    return result + [project(seed, name, values[name]) for name in sorted(values)]


print("/*")
print(" * network_truth: of one step of each network, the logits of an evaluation and of training, the loss, and of the")
print(" * gradient of the images and, in the order of their names, of all gradients and changed running statistics the sums")
print(f" * with random signs. Written by network_truth.py with PyTorch {torch.__version__} and torchvision {torchvision.__version__}.")
print(" */")
print(f"enum {{ BATCH = {BATCH}, CLASSES = {CLASSES} }};\n")
rows = []
for name, filters, size, make in NETWORKS:
    seed = next(seed for seed in range(1, 200) if has_margin(make, filters, size, seed))
    values = numbers(make, filters, size, seed)
    print(f"static const double {name}_numbers[] = {{")
    print(textwrap.fill(", ".join(f"{value:.9g}" for value in values) + "};", 120, initial_indent=" " * 4, subsequent_indent=" " * 4))
    print()
    rows.append(f'    {{"{name}", {filters}, {size}, {seed}, {name}_numbers, {len(values)}}},')
print("static const struct truth {\n    const char *network;\n    uint32_t filters, size, seed;")
print("    const double *numbers;\n    size_t count;\n} truths[] = {")
print("\n".join(rows))
print("};")
