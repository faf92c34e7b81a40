/* What torch.save wrote: tensors as they were, and a refusal of everything that is no tensor. */
#include "state.h"
#include "torch_writer.h"
#include "weights/pickle.h"

static struct written pickle;

static void start(void) {
    pickle.size = 0;
    written_code(&pickle, "\x80\x02");
}

/* ---- sound files ---- */

static void write_pth(const char *name, const struct safetensors_tensor *tensors, size_t count) {
    written_code(&pickle, ".");
    written_file(in_folder(name), &pickle, tensors, count);
}

static void reads_state_dicts(void **unused) {
    (void)unused;
    static const char *const keys[] = {"state_dict", "model", "model_state_dict"};
    static struct state state;
    make_state(&state, "resnet18");
    start();
    written_state(&pickle, state.tensors, state.count);
    write_pth("plain.pth", state.tensors, state.count);
    assert_same(&state, "plain.pth");
    for (size_t i = 0; i < COUNT(keys); i++) { /* {"epoch": 3, "best": 1.5, KEY: ..., "flags": [True, (None, {})]} */
        start();
        written_code(&pickle, "}(");
        written_text(&pickle, "epoch");
        written_code(&pickle, "K\x03");
        written_text(&pickle, "best");
        written_bytes(&pickle, "G\x3f\xf8\0\0\0\0\0\0", 9);
        written_text(&pickle, keys[i]);
        written_state(&pickle, state.tensors, state.count);
        written_text(&pickle, "flags");
        written_code(&pickle, "](\x88N}\x86"
                              "eu");
        write_pth("inside.pth", state.tensors, state.count);
        assert_same(&state, "inside.pth");
    }
    free_state(&state);
}

/* As Hugging Face keeps large ones: pytorch_model.bin.index.json. */
static void reads_shards(void **unused) {
    (void)unused;
    static struct state state;
    static char text[1 << 16];
    make_state(&state, "resnet18");
    start();
    written_state(&pickle, state.tensors, state.count);
    write_pth("all.bin", state.tensors, state.count);
    size_t length = (size_t)sprintf(text, "{\"weight_map\": {");
    for (size_t i = 0; i < state.count; i++)
        length += (size_t)sprintf(text + length, "%s\"%s\": \"all.bin\"", i ? ", " : "", state.names[i]);
    sprintf(text + length, "}}");
    write_text("pytorch_model.bin.index.json", text);
    assert_same(&state, "pytorch_model.bin.index.json");
    free_state(&state);
}

static void reads_the_legacy_format(void **unused) {
    (void)unused;
    static struct state state;
    static struct written file;
    make_state(&state, "resnet18");
    state.count = 8; /* what fits into the room of the writer */
    written_legacy(&file, state.tensors, state.count);
    for (size_t cut = 0; cut <= file.size; cut += cut + 1 < file.size ? 1 + file.size / 200 : 1) {
        struct weights weights;
        size_t size = file.size - cut;
        write_bytes("legacy.pth", file.bytes, size);
        enum status status = weights_open(in_folder("legacy.pth"), &weights);
        if (status != (cut ? STATUS_DATA : STATUS_OK))
            fail_msg("%zu bytes fewer: %d, %s", cut, (int)status, status_message());
        for (size_t i = 0; i < weights.count; i++)
            assert_memory_equal(weights_find(&weights, state.names[i])->bytes, state.values[i], state.tensors[i].size);
        weights_close(&weights);
    }
    free_state(&state);
}

/* Opens a file with one tensor, "w", of a storage of 12 floats 0, 1, 2, ... */
static enum status open_view(const struct written_view *view, struct weights *weights) {
    static const float stored[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    const struct safetensors_tensor storage = {.bytes = stored, .size = sizeof stored};
    start();
    written_code(&pickle, "}");
    written_text(&pickle, "w");
    written_tensor(&pickle, view);
    written_code(&pickle, "s");
    write_pth("view.pth", &storage, 1);
    return weights_open(in_folder("view.pth"), weights);
}

#define VIEW(offset, rank, shape, strides)                                                                             \
    "FloatStorage", "0", 12, offset, rank, {shape}, {                                                                  \
        strides                                                                                                        \
    }
#define _(...) __VA_ARGS__

static void reads_every_layout(void **unused) {
    (void)unused;
    static const struct {
        struct written_view view;
        float values[12];
    } cases[] = {
        {{VIEW(0, 2, _(3, 4), _(4, 1))}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
        {{VIEW(0, 2, _(4, 3), _(1, 4))}, {0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}},
        {{VIEW(5, 1, _(2), _(3))}, {5, 8}},
        {{VIEW(2, 3, _(1, 3, 1), _(100, 1, 77))}, {2, 3, 4}}, /* strides of single rows mean nothing */
        {{VIEW(1, 2, _(2, 3), _(0, 2))}, {1, 3, 5, 1, 3, 5}}, /* expanded */
        {{VIEW(11, 0, _(0), _(0))}, {11}},
        {{VIEW(12, 2, _(0, 7), _(7, 1))}, {0}},
        {{VIEW(0, 4, _(1, 2, 3, 2), _(12, 1, 4, 2))}, {0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11}}, /* channels last */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct weights weights;
        if (open_view(&cases[i].view, &weights) != STATUS_OK)
            fail_msg("case %zu: %s", i, status_message());
        assert_int_equal(weights.tensors[0].rank, cases[i].view.rank);
        for (size_t k = 0; k < weights.tensors[0].size / sizeof(float); k++) {
            float value;
            memcpy(&value, (const uint8_t *)weights.tensors[0].bytes + k * sizeof value, sizeof value);
            if (value != cases[i].values[k])
                fail_msg("case %zu: value %zu is %g", i, k, (double)value);
        }
        weights_close(&weights);
    }
}

static void refuses_views_outside(void **unused) {
    (void)unused;
    static const int64_t large = INT64_MAX;
    const struct {
        struct written_view view;
        const char *part;
    } cases[] = {
        {{VIEW(1, 2, _(3, 4), _(4, 1))}, "w ends outside"},
        {{VIEW(0, 1, _(13), _(1))}, "more values than are stored"},
        {{VIEW(12, 1, _(1), _(1))}, "w ends outside"},
        {{VIEW(13, 1, _(0), _(1))}, "w starts outside"},
        {{VIEW(-1, 1, _(1), _(1))}, "w starts outside"},
        {{VIEW(0, 1, _(2), _(12))}, "w ends outside"},
        {{VIEW(0, 1, _(2), _(large))}, "w ends outside"},
        {{VIEW(large, 1, _(2), _(large))}, "w starts outside"},
        {{VIEW(11, 2, _(2, 2), _(-1, 1))}, "no whole number from 0"},
        {{VIEW(0, 1, _(-1), _(1))}, "no whole number from 0"},
        {{VIEW(0, 2, _(large, large), _(0, 0))}, "more values than are stored"},
        {{VIEW(0, 2, _(7, 0), _(1, 1))}, NULL},
        {{VIEW(0, 9, _(1, 1, 1, 1, 1, 1, 1, 1, 1), _(1, 1, 1, 1, 1, 1, 1, 1, 1))}, "more than 8 dimensions"},
        {{"FloatStorage", "0", 11, 0, 1, {1}, {1}}, "has 48 bytes, not 11 numbers of 4"},
        {{"DoubleStorage", "0", 12, 0, 1, {1}, {1}}, "has 48 bytes, not 12 numbers of 8"},
        {{"FloatStorage", "0", -1, 0, 1, {1}, {1}}, "no storage of tensors"},
        {{"FloatStorage", "1", 12, 0, 1, {1}, {1}}, "the numbers of tensor w are missing (storage 1)"},
        {{"FloatStorage", "../data.pkl", 12, 0, 1, {1}, {1}}, "are missing (storage ../data.pkl)"},
        {{"ComplexFloatStorage", "0", 12, 0, 1, {1}, {1}}, "a Python object, torch.ComplexFloatStorage"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct weights weights;
        enum status status = open_view(&cases[i].view, &weights);
        if (status != (cases[i].part ? STATUS_DATA : STATUS_OK) ||
            (cases[i].part && !strstr(status_message(), cases[i].part)))
            fail_msg("case %zu: %d, %s", i, (int)status, status_message());
        weights_close(&weights);
    }
}

/* ---- pickles ---- */

static void expect_pickle(const char *code, size_t size, const char *part) {
    struct pickle parsed;
    uint8_t *bytes = malloc(size); /* exactly, so that a sanitizer sees a read past the end */
    assert_non_null(bytes);
    memcpy(bytes, code, size);
    enum status status = pickle_parse(bytes, size, &parsed);
    if (status != (part ? STATUS_DATA : STATUS_OK) || (part && !strstr(status_message(), part)))
        fail_msg("%s: %d, %s", code, (int)status, status_message());
    pickle_destroy(&parsed);
    free(bytes);
}
#define EXPECT_PICKLE(code, part) expect_pickle(code, sizeof code - 1, part)

static void executes_nothing(void **unused) {
    (void)unused;
    EXPECT_PICKLE("\x80\x02"
                  "cos\nsystem\nX\x04\0\0\0true\x85R.",
                  "a Python object, os.system: only tensors");
    EXPECT_PICKLE("cposix\nsystem\n.", "posix.system");
    EXPECT_PICKLE("c__builtin__\neval\n.", "__builtin__.eval");
    EXPECT_PICKLE("X\x08\0\0\0builtinsX\x04\0\0\0exec\x93.", "builtins.exec");
    EXPECT_PICKLE("\x8c\x02os\x8c\x06system\x93.", "os.system");
    EXPECT_PICKLE("ctorch\nload\n.", "torch.load");
    EXPECT_PICKLE("ctorch.FloatStorage\n\n.", "torch.FloatStorage.");
    EXPECT_PICKLE("ccollections.OrderedDict\nfromkeys\n.", "collections.OrderedDict.fromkeys");
    EXPECT_PICKLE("(S'true'\nios\nsystem\n.", "instruction 0x53");
    EXPECT_PICKLE("(ios\nsystem\n.", "instruction 0x69"); /* INST */
    EXPECT_PICKLE("(o.", "instruction 0x6f");             /* OBJ */
    EXPECT_PICKLE("N)\x81.", "instruction 0x81");         /* NEWOBJ */
    EXPECT_PICKLE("N)}\x92.", "instruction 0x92");        /* NEWOBJ_EX */
    EXPECT_PICKLE("\x82\x01.", "instruction 0x82");       /* EXT1 */
    EXPECT_PICKLE("Pos.system\n.", "instruction 0x50");   /* PERSID */
}

static void refuses_damaged_pickles(void **unused) {
    (void)unused;
    EXPECT_PICKLE("N.", NULL);
    EXPECT_PICKLE("}q\1h\1s.", "belong to no list"); /* an item without a value */
    EXPECT_PICKLE("]q\1h\1a.", NULL);                /* a list in itself */
    EXPECT_PICKLE("N", "it ends too soon");
    EXPECT_PICKLE(".", "nothing on the stack");
    EXPECT_PICKLE("(.", "nothing on the stack");
    EXPECT_PICKLE("NR.", "nothing on the stack");
    EXPECT_PICKLE("NNR.", "no function");
    EXPECT_PICKLE("ccollections\nOrderedDict\nNR.", "no function");
    EXPECT_PICKLE("ccollections\nOrderedDict\nN\x85R.", "made of something");
    EXPECT_PICKLE("ctorch\nFloatStorage\n)R.", "no function");
    EXPECT_PICKLE("ctorch._utils\n_rebuild_tensor_v2\n)R.", "no tensor");
    EXPECT_PICKLE("ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNtR.", "no tensor");
    EXPECT_PICKLE("ctorch._utils\n_rebuild_parameter\nN\x85R.", "no tensor");
    EXPECT_PICKLE("ctorch._utils\n_rebuild_parameter\n)R.", "no tensor");
    EXPECT_PICKLE("NQ.", "no storage");
    EXPECT_PICKLE(")Q.", "no storage");
    EXPECT_PICKLE("t.", "no mark");
    EXPECT_PICKLE("Nu.", "no mark");
    EXPECT_PICKLE("N(NNu.", "belong to no list");
    EXPECT_PICKLE("}(Nu.", "belong to no list");
    EXPECT_PICKLE("(NNe.", "belong to no list");
    EXPECT_PICKLE("(Nd.", "a key without a value");
    EXPECT_PICKLE("h\1.", "nothing is at this place");
    EXPECT_PICKLE("Nq\1h\0.", "nothing is at this place");
    EXPECT_PICKLE("Nr\xff\xff\xff\xff.", "too high");
    EXPECT_PICKLE("X\xff\xff\xff\xff.", "too long");
    EXPECT_PICKLE("\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "too long");
    EXPECT_PICKLE("X\5\0\0\0ab", "it ends too soon");
    EXPECT_PICKLE("X\1\0\0\0\0.", "a zero byte");
    EXPECT_PICKLE("\x8a\x09\1\2\3\4\5\6\7\7\7.", "more than 64 bits");
    EXPECT_PICKLE("G\0\0\0.", "it ends too soon");
    EXPECT_PICKLE("Nb.", "nothing on the stack");
    EXPECT_PICKLE("NNb.", "attributes of something");
    EXPECT_PICKLE("cos", "no name of a Python object");
    EXPECT_PICKLE("NN\x93.", "no name of a Python object");
}

static void reads_numbers(void **unused) {
    (void)unused;
    static const char code[] =
        "(K\xffM\x01\x02J\xfe\xff\xff\xff\x8a\0\x8a\1\x80\x8a\2\x00\x80\x8a\x08\1\0\0\0\0\0\0\x80"
        "\x8b\2\0\0\0\xff\x7ft.";
    static const int64_t expected[] = {255, 513, -2, 0, -128, -32768, INT64_MIN + 1, 32767};
    struct pickle parsed;
    int64_t number;
    assert_int_equal(pickle_parse((const uint8_t *)code, sizeof code - 1, &parsed), STATUS_OK);
    const struct pickle_node *list = &parsed.nodes[parsed.top];
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_true(pickle_number(&parsed, list, i, &number));
        assert_true(number == expected[i]);
    }
    assert_false(pickle_number(&parsed, list, COUNT(expected), &number));
    pickle_destroy(&parsed);
}

/* ---- zip files ---- */

struct entry {
    const char *name, *text;
    int method;
};

static void expect_zip(const struct entry *entries, const char *part) {
    struct weights weights;
    zip_t *zip = written_zip(in_folder("z.pth"));
    for (; entries->name; entries++)
        written_entry(zip, entries->name, entries->text, strlen(entries->text), entries->method);
    assert_int_equal(zip_close(zip), 0);
    enum status status = weights_open(in_folder("z.pth"), &weights);
    if (status != STATUS_DATA || !strstr(status_message(), part))
        fail_msg("%d, \"%s\" is not in: %s", (int)status, part, status_message());
    weights_close(&weights);
}
#define EXPECT_ZIP(part, ...) expect_zip((const struct entry[]){__VA_ARGS__, {NULL, NULL, 0}}, part)

static void refuses_other_zip_files(void **unused) {
    (void)unused;
    static const char ones[] = "11111111111111111111111111111111111111111111111111111111111111111111111111111111";
    EXPECT_ZIP("without data.pkl", {"a.txt", "N.", ZIP_CM_STORE});
    EXPECT_ZIP("without data.pkl", {"data.pkl", "N.", ZIP_CM_STORE});
    EXPECT_ZIP("without data.pkl", {"a/b/data.pkl", "N.", ZIP_CM_STORE});
    EXPECT_ZIP("no dictionary of tensors", {"a/data.pkl", "N.", ZIP_CM_STORE});
    EXPECT_ZIP("no dictionary of tensors", {"a/data.pkl", "].", ZIP_CM_STORE});
    EXPECT_ZIP("compressed or encrypted", {"a/data.pkl", "N.", ZIP_CM_STORE}, {"a/data/0", ones, ZIP_CM_DEFLATE});
    EXPECT_ZIP("not little-endian", {"a/byteorder", "big", ZIP_CM_STORE}, {"a/data.pkl", "N.", ZIP_CM_STORE});
    EXPECT_ZIP("a Python object, __torch__.Net", {"a/data.pkl", "c__torch__\nNet\n.", ZIP_CM_STORE});
    EXPECT_ZIP("is no tensor, so this is no state dict", {"a/data.pkl",
                                                          "}(U\1aN"
                                                          "u.",
                                                          ZIP_CM_STORE});
    EXPECT_ZIP("name is no text", {"a/data.pkl",
                                   "}(NN"
                                   "u.",
                                   ZIP_CM_STORE});
}

/* A byte that is changed anywhere in the numbers is noticed by the checksum, a cut by the directory at the end. */
static void notices_damage(void **unused) {
    (void)unused;
    static struct state state;
    uint8_t *bytes;
    size_t size;
    make_state(&state, "resnet18");
    start();
    written_state(&pickle, state.tensors, state.count);
    write_pth("whole.pth", state.tensors, state.count);
    assert_int_equal(file_read(in_folder("whole.pth"), SIZE_MAX / 2, &bytes, &size), STATUS_OK);
    const uint8_t *place = bytes;
    while (memcmp(place, state.values[0], 64) != 0)
        place++;
    for (size_t i = 0; i < 40; i++) {
        struct weights weights;
        size_t cut = i < 20 ? 0 : 1 + (i - 20) * size / 20, at = (size_t)(place - bytes) + i;
        bytes[at] ^= 1;
        write_bytes("part.pth", bytes, size - cut);
        assert_int_equal(weights_open(in_folder("part.pth"), &weights), STATUS_DATA);
        bytes[at] ^= 1;
    }
    free(bytes);
    free_state(&state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_state_dicts),
        cmocka_unit_test(reads_the_legacy_format),
        cmocka_unit_test(reads_shards),
        cmocka_unit_test(reads_every_layout),
        cmocka_unit_test(refuses_views_outside),
        cmocka_unit_test(executes_nothing),
        cmocka_unit_test(refuses_damaged_pickles),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(refuses_other_zip_files),
        cmocka_unit_test(notices_damage),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
