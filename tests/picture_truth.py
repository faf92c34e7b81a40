#!/usr/bin/env python3
"""Prints tests/picture_truth.h: what torchvision makes of the pictures that tests/test_picture.c draws.

Run once, with Debian's python3-torchvision: python3 tests/picture_truth.py >tests/picture_truth.h
"""
import numpy
import PIL
import torchvision
from PIL import Image
from torchvision import transforms


def draw(number, width, height):
    """The same picture as draw() of the test: noise, or for even numbers ramps with edges."""
    y, x, c = numpy.mgrid[0:height, 0:width, 0:3]
    ramp = x * (3 + c) + y * (5 - c) + number * 11
    noise = (x * 73 + y * 151 + c * 199 + number) * (x * 31 + y * 17 + 7) // 8
    return (ramp if number % 2 == 0 else noise).astype(numpy.uint8)


def fnv(values):
    value = 14695981039346656037
    for byte in values.tobytes():
        value = (value ^ byte) * 1099511628211 % 2**64
    return value


print("/*")
print(" * picture_truth: FNV-1a of the bytes that torchvision's Resize(resize) and CenterCrop(crop) make of test pictures.")
print(f" * Written by picture_truth.py with torchvision {torchvision.__version__} and Pillow {PIL.__version__}.")
print(" */")
print("static const struct truth {\n    uint32_t width, height, resize, crop;\n    uint64_t hash;\n} truths[] = {")
for number in range(50):
    width = 31 + number * 7919 % 577
    height = 33 + number * 6151 % 487
    resize, crop = (256, 224) if number < 44 else [(232, 224), (64, 64), (33, 32), (224, 256), (61, 77), (9, 5)][number - 44]
    picture = Image.fromarray(draw(number, width, height))
    values = numpy.asarray(transforms.CenterCrop(crop)(transforms.Resize(resize)(picture)))
    print(f"    {{{width}, {height}, {resize}, {crop}, UINT64_C(0x{fnv(values):016x})}},")
print("};")
