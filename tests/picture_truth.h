/*
 * picture_truth: FNV-1a of the bytes that torchvision's Resize(resize) and CenterCrop(crop) make of test pictures, and
 * of those that Pillow decodes from the files in fuzz/corpus/picture, upright, and of a picture that it changed.
 * Written by picture_truth.py with torchvision 0.14.1a0 and Pillow 9.4.0.
 */
static const struct truth {
    uint32_t width, height, resize, crop;
    uint64_t hash;
} truths[] = {
    {31, 33, 256, 224, UINT64_C(0xd43b64733e930dcd)},   {449, 340, 256, 224, UINT64_C(0x8ebd728d35cbf6f9)},
    {290, 160, 256, 224, UINT64_C(0x5554801375f5c235)}, {131, 467, 256, 224, UINT64_C(0xeb72468e688d6178)},
    {549, 287, 256, 224, UINT64_C(0xefff0309ee5bd51d)}, {390, 107, 256, 224, UINT64_C(0x593b6cd32a2482bf)},
    {231, 414, 256, 224, UINT64_C(0xd9b5448d365ce51b)}, {72, 234, 256, 224, UINT64_C(0xcffeab0d9de7fbbf)},
    {490, 54, 256, 224, UINT64_C(0x2384aa62dcd8736e)},  {331, 361, 256, 224, UINT64_C(0x948177009e971421)},
    {172, 181, 256, 224, UINT64_C(0x19495818aaba0893)}, {590, 488, 256, 224, UINT64_C(0xa0d60bbb3c11b410)},
    {431, 308, 256, 224, UINT64_C(0x86b73cf6d9344a8b)}, {272, 128, 256, 224, UINT64_C(0x572019475ddb9a45)},
    {113, 435, 256, 224, UINT64_C(0xe731f26416c17d25)}, {531, 255, 256, 224, UINT64_C(0x95ab5a1c3cd772b7)},
    {372, 75, 256, 224, UINT64_C(0x6885306c5b4f11dd)},  {213, 382, 256, 224, UINT64_C(0x6913e7452ca4d129)},
    {54, 202, 256, 224, UINT64_C(0xf0a96fe43676075c)},  {472, 509, 256, 224, UINT64_C(0x49a9834569847404)},
    {313, 329, 256, 224, UINT64_C(0xc225be87a0d31097)}, {154, 149, 256, 224, UINT64_C(0x17ef53aa0c5faf50)},
    {572, 456, 256, 224, UINT64_C(0xbf2334002f8a0e24)}, {413, 276, 256, 224, UINT64_C(0x87ad28b943ce3771)},
    {254, 96, 256, 224, UINT64_C(0xcf9e9ff1560760f9)},  {95, 403, 256, 224, UINT64_C(0x62ff676437d4c21f)},
    {513, 223, 256, 224, UINT64_C(0x7cf841202b67cf6c)}, {354, 43, 256, 224, UINT64_C(0x6aaac414825519b5)},
    {195, 350, 256, 224, UINT64_C(0x42cddd3a0b5b7713)}, {36, 170, 256, 224, UINT64_C(0x9832e42df762698b)},
    {454, 477, 256, 224, UINT64_C(0x7b41b8b738fde672)}, {295, 297, 256, 224, UINT64_C(0x593a8ce1924a7191)},
    {136, 117, 256, 224, UINT64_C(0x3748bd33c6ae8930)}, {554, 424, 256, 224, UINT64_C(0xd71fa0c8bbb2fcd5)},
    {395, 244, 256, 224, UINT64_C(0xd6bc964a247c8abd)}, {236, 64, 256, 224, UINT64_C(0x6d980fbe10fee391)},
    {77, 371, 256, 224, UINT64_C(0x481f1d3adc452fdb)},  {495, 191, 256, 224, UINT64_C(0x2631de5c20878655)},
    {336, 498, 256, 224, UINT64_C(0x6c4f995d04a164eb)}, {177, 318, 256, 224, UINT64_C(0x7dca2328af79a249)},
    {595, 138, 256, 224, UINT64_C(0x961fac879a7bf9ea)}, {436, 445, 256, 224, UINT64_C(0x04cb0885796d30ed)},
    {277, 265, 256, 224, UINT64_C(0xdb0962f8b40ae8d4)}, {118, 85, 256, 224, UINT64_C(0x47ddae8d3b9c8382)},
    {536, 392, 232, 224, UINT64_C(0x47d635829c15a3b5)}, {377, 212, 64, 64, UINT64_C(0x374c2fc66d2b5db6)},
    {218, 519, 33, 32, UINT64_C(0x33e4309923cdb5a7)},   {59, 339, 224, 256, UINT64_C(0x32a792692f46ba90)},
    {477, 159, 61, 77, UINT64_C(0xc45d97827d879b25)},   {318, 466, 9, 5, UINT64_C(0x92e18122b8bf70d5)},
};
static const struct file_truth {
    const char *name;
    uint64_t hash;
} file_truths[] = {
    {"colour.jpg", UINT64_C(0x9b367f4257d51abb)},       {"progressive.jpg", UINT64_C(0x9b367f4257d51abb)},
    {"whole_chroma.jpg", UINT64_C(0xa37c6392dac2f790)}, {"half_chroma.jpg", UINT64_C(0x6959b80f379879a5)},
    {"grey.jpg", UINT64_C(0x7cecc3002e290338)},         {"ink.jpg", UINT64_C(0x6cd0e9cb694666bc)},
    {"turned.jpg", UINT64_C(0xf0b576124119a18d)},       {"colour.png", UINT64_C(0x450614aeddfe075d)},
    {"grey.png", UINT64_C(0x65fc4a682567c0c4)},         {"bits.png", UINT64_C(0xad5524b779242d5b)},
    {"palette.png", UINT64_C(0x2dc36c373022c431)},      {"clear_colour.png", UINT64_C(0xe863233c9dad81fe)},
    {"alpha.png", UINT64_C(0x450614aeddfe075d)},        {"grey_alpha.png", UINT64_C(0x65fc4a682567c0c4)},
    {"turned.png", UINT64_C(0x35925699ba93ad8b)},
};
static const struct change_truth {
    const char *name;
    double strength;
    uint64_t hash;
} change_truths[] = {
    {"brightness", 0.3, UINT64_C(0x2fba61fb20733f5e)}, {"brightness", 1.7, UINT64_C(0x8f419be6e91a6e3c)},
    {"contrast", 0.3, UINT64_C(0x3c6eb61baa8f7231)},   {"contrast", 1.7, UINT64_C(0x51013c4988bc413c)},
    {"saturation", 0.3, UINT64_C(0x7900653b0d9b6b49)}, {"saturation", 1.7, UINT64_C(0xda5edc498dfe9142)},
    {"sharpness", 0.3, UINT64_C(0xc08eb4bd92672680)},  {"sharpness", 1.7, UINT64_C(0xcf4fd56fd576e063)},
    {"posterize", 3, UINT64_C(0x126dd74153126805)},    {"solarize", 100, UINT64_C(0x1bb3cb97d1f0ddc7)},
    {"autocontrast", 0, UINT64_C(0xfe3e1ac1670e5e71)}, {"equalize", 0, UINT64_C(0x306b594eaa6f61ec)},
    {"rotate", 1, UINT64_C(0x63caf70436e705cd)},       {"rotate", -1, UINT64_C(0x219cf62ee262f147)},
};
