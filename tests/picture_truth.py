#!/usr/bin/env python3
"""Prints tests/picture_truth.h: what torchvision makes of the pictures that tests/test_picture.c draws, and what Pillow
decodes from the small files that are written to tests/fuzz/corpus/picture.

Run once, with Debian's python3-torchvision: python3 tests/picture_truth.py >tests/picture_truth.h
"""
import os

import numpy
import PIL
import torchvision
from PIL import Image, ImageEnhance, ImageOps
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
print(" * picture_truth: FNV-1a of the bytes that torchvision's Resize(resize) and CenterCrop(crop) make of test pictures, and")
print(" * of those that Pillow decodes from the files in fuzz/corpus/picture, upright, and of a picture that it changed.")
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


FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fuzz", "corpus", "picture")


def soft(channels):
    """A smooth picture of 37x26 pixels, as JPEG is made for."""
    y, x, c = numpy.mgrid[0:26, 0:37, 0:channels]
    values = 128 + 70 * numpy.sin(x / 5 + c) + 50 * numpy.cos(y / 4 - c)
    return numpy.clip(values, 0, 255).astype(numpy.uint8).squeeze()


def oriented(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


colour, grey, ink = (Image.fromarray(soft(n), mode) for n, mode in ((3, "RGB"), (1, "L"), (4, "CMYK")))
files = {
    "colour.jpg": (colour, {}),
    "progressive.jpg": (colour, {"progressive": True}),
    "whole_chroma.jpg": (colour, {"subsampling": 0, "quality": 95}),
    "half_chroma.jpg": (colour, {"subsampling": 1, "quality": 30}),
    "grey.jpg": (grey, {}),
    "ink.jpg": (ink, {}),
    "turned.jpg": (colour, {"exif": oriented(6), "quality": 20}),
    "colour.png": (colour, {}),
    "grey.png": (grey, {}),
    "bits.png": (grey.convert("1"), {}),
    "palette.png": (colour.quantize(13), {}),
    "clear_colour.png": (colour.quantize(200), {"transparency": 3}),
    "alpha.png": (Image.fromarray(soft(4), "RGBA"), {}),
    "grey_alpha.png": (Image.fromarray(soft(2), "LA"), {}),
    "turned.png": (colour, {"exif": oriented(8)}),
}
print("static const struct file_truth {\n    const char *name;\n    uint64_t hash;\n} file_truths[] = {")
os.makedirs(FOLDER, exist_ok=True)
for name, (picture, options) in files.items():
    picture.save(os.path.join(FOLDER, name), **options)
    upright = ImageOps.exif_transpose(Image.open(os.path.join(FOLDER, name))).convert("RGB")
    print(f'    {{"{name}", UINT64_C(0x{fnv(numpy.asarray(upright)):016x})}},')
print("};")


changed = Image.fromarray(draw(1, 40, 40))
changes = {
    "brightness": [(f, ImageEnhance.Brightness(changed).enhance(f)) for f in (0.3, 1.7)],
    "contrast": [(f, ImageEnhance.Contrast(changed).enhance(f)) for f in (0.3, 1.7)],
    "saturation": [(f, ImageEnhance.Color(changed).enhance(f)) for f in (0.3, 1.7)],
    "sharpness": [(f, ImageEnhance.Sharpness(changed).enhance(f)) for f in (0.3, 1.7)],
    "posterize": [(3, ImageOps.posterize(changed, 3))],
    "solarize": [(100, ImageOps.solarize(changed, 100))],
    "autocontrast": [(0, ImageOps.autocontrast(changed))],
    "equalize": [(0, ImageOps.equalize(changed))],
    "rotate": [(1, changed.rotate(30)), (-1, changed.rotate(-30))],
}
print("static const struct change_truth {\n    const char *name;\n    double strength;\n    uint64_t hash;\n} change_truths[] = {")
for name, results in changes.items():
    for strength, result in results:
        print(f'    {{"{name}", {strength}, UINT64_C(0x{fnv(numpy.asarray(result)):016x})}},')
print("};")
