/* Described networks: the same as those with names, refusals that name file, key and limit, and checkpoints that need
 * the file no more. */
#include "base/file.h"
#include "data/safetensors.h"
#include "model/description.h"
#include "resnet_vk.h"
#include "train/checkpoint.h"

#include "networks.h"

#include <stdio.h>
#include <unistd.h>

static char folder[] = "/tmp/test_description_XXXXXX";

static const char *put(const char *name, const char *text) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(file_write_atomic(path, &(struct file_piece){text, strlen(text)}, 1), STATUS_OK);
    return path;
}

static int setup(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static const char *const twins[][2] = {
    {"resnet18", "{\"kind\": \"basic\", \"blocks\": [2, 2, 2, 2]}"},
    {"resnet50", "{\"kind\": \"bottleneck\", \"blocks\": [3, 4, 6, 3], \"stem\": \"large\"}"},
    {"resnet50v1", "{\"kind\": \"bottleneck\", \"blocks\": [3, 4, 6, 3], \"stride_first\": true}"},
    {"seresnet50", "{\"kind\": \"bottleneck\", \"blocks\": [3, 4, 6, 3], \"squeeze\": 16}"},
    {"resnext50_32x4d", "{\"kind\": \"bottleneck\", \"blocks\": [3, 4, 6, 3], \"groups\": 32, \"group_width\": 4}"},
    {"wide_resnet50_2", "{\"kind\": \"bottleneck\", \"blocks\": [3, 4, 6, 3], \"groups\": 1, \"group_width\": 128}"},
    {"resnet20", "{\"kind\": \"basic\", \"blocks\": [3, 3, 3], \"stem\": \"small\", \"shortcut\": \"projection\"}"},
    {"resnet20a", "{\"kind\": \"basic\", \"blocks\": [3, 3, 3], \"stem\": \"small\", \"shortcut\": \"pad\"}"},
    {"plain20", "{\"kind\": \"plain\", \"blocks\": [3, 3, 3], \"stem\": \"small\"}"},
    {"resnet29v2", "{\"kind\": \"preactivation\", \"blocks\": [3, 3, 3], \"stem\": \"small\", \"filters\": 16}"},
    {"vgg11", "{\"kind\": \"vgg\", \"blocks\": [1, 1, 2, 2, 2], \"norm\": false}"},
    {"vgg16c_bn", "{\"kind\": \"vgg\", \"blocks\": [2, 2, 3, 3, 3], \"stem\": \"small\"}"},
};

static void descriptions_of_named_networks_are_these(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(twins); i++) {
        struct model named = MODEL(.name = twins[i][0]), described = MODEL(.name = put("twin.json", twins[i][1]));
        assert_string_equal(described.name, "custom");
        assert_int_equal(described.count, named.count);
        assert_int_equal(described.options.height, named.options.height);
        assert_int_equal(described.options.classes, named.options.classes);
        assert_true(described.multiply_adds == named.multiply_adds);
        for (size_t p = 0; p < named.count; p++) {
            assert_string_equal(described.parameters[p].name, named.parameters[p].name);
            assert_true(shape_equal(described.parameters[p].shape, named.parameters[p].shape));
            assert_true(described.parameters[p].scale == named.parameters[p].scale);
        }
        model_destroy(&named);
        model_destroy(&described);
    }
}

static void the_text_stands_for_the_file(void **state) {
    (void)state;
    struct model file = MODEL(.name = put("a.json", " {\"name\": \"mine\",\n\"blocks\":[1, 2],\"kind\":\"plain\"}\n"));
    assert_string_equal(file.name, "mine");
    assert_string_equal(model_text(&file), "{\"blocks\":[1,2],\"kind\":\"plain\",\"name\":\"mine\"}");
    struct model text = MODEL(.name = model_text(&file));
    assert_string_equal(model_text(&text), model_text(&file));
    assert_int_equal(text.trainable, file.trainable);
    model_destroy(&text);
    model_destroy(&file);
}

static void mistakes_are_named(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"[", "no JSON: ']' expected near end of file in line 1"},
        {"[]", "a description is an object"},
        {"{}", "kind must be one of basic, bottleneck, plain, preactivation, vgg"},
        {"{\"kind\": \"dense\"}", "kind must be one of basic, bottleneck, plain, preactivation, vgg, not \"dense\""},
        {"{\"kind\": \"basic\"}", "the key blocks is missing"},
        {"{\"kind\": \"basic\", \"kind\": \"vgg\"}", "duplicate object key"},
        {"{\"kind\": \"basic\", \"blocks\": []}", "blocks must be a list of 1 to 5 numbers"},
        {"{\"kind\": \"basic\", \"blocks\": [1, 1, 1, 1, 1, 1]}", "blocks must be a list of 1 to 5 numbers"},
        {"{\"kind\": \"basic\", \"blocks\": 3}", "blocks must be a list of 1 to 5 numbers"},
        {"{\"kind\": \"basic\", \"blocks\": [257]}",
         "each of the blocks must be a whole number from 1 to 256, not 257"},
        {"{\"kind\": \"basic\", \"blocks\": [1.5]}", "each of the blocks must be a whole number from 1 to 256"},
        {"{\"kind\": \"basic\", \"blocks\": [1], \"filter\": 3}",
         "there is no key \"filter\" for this kind; there are "},
        {"{\"kind\": \"basic\", \"blocks\": [1], \"groups\": 3}",
         "there is no key \"groups\" for this kind; there are "},
        {"{\"kind\": \"vgg\", \"blocks\": [1], \"squeeze\": 3}", "there is no key \"squeeze\" for this kind"},
        {"{\"kind\": \"basic\", \"blocks\": [1], \"filters\": 0}",
         "filters must be a whole number from 1 to 4096, not 0"},
        {"{\"kind\": \"basic\", \"blocks\": [1], \"filters\": \"8\"}", "filters must be a whole number from 1 to 4096"},
        {"{\"kind\": \"basic\", \"blocks\": [1], \"stem\": true}", "stem must be one of small, large"},
        {"{\"kind\": \"basic\", \"blocks\": [1], \"squeeze\": 257}", "squeeze must be a whole number from 1 to 256"},
        {"{\"kind\": \"basic\", \"blocks\": [1], \"name\": \"a b\"}", "name must be a text of 1 to 31 letters"},
        {"{\"kind\": \"bottleneck\", \"blocks\": [1], \"groups\": 2}", "groups and group_width go together"},
        {"{\"kind\": \"bottleneck\", \"blocks\": [1], \"stride_first\": 1}", "stride_first must be true or false"},
        {"{\"kind\": \"vgg\", \"blocks\": [1, 1]}", "a vgg with a large stem has 5 stages"},
    };
    struct model model;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const struct model_options options = {.name = put("wrong.json", wrong[i][0])};
        assert_int_equal(model_create(&options, &model), STATUS_DATA);
        if (!strstr(status_message(), wrong[i][1]) || !strstr(status_message(), "/wrong.json: "))
            fail_msg("%s: \"%s\" does not say \"%s\"", wrong[i][0], status_message(), wrong[i][1]);
    }
    assert_int_equal(model_create(&(struct model_options){.name = "{\"kind\": 1}"}, &model), STATUS_DATA);
    assert_non_null(strstr(status_message(), "the model's description: kind must be one of"));
    assert_int_equal(model_create(&(struct model_options){.name = "/nowhere/a.json"}, &model), STATUS_DATA);
    assert_non_null(strstr(status_message(), "/nowhere/a.json"));
}

/* Each is legal on its own; together they are refused by size, not believed. */
static void networks_that_are_too_large_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{\"kind\":\"bottleneck\",\"blocks\":[1,1,1,1,1],\"filters\":4096,\"groups\":1024,\"group_width\":1024}",
        "{\"kind\":\"bottleneck\",\"blocks\":[1],\"filters\":1,\"groups\":1,\"group_width\":1}"};
    struct model model;
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_int_equal(model_create(&(struct model_options){.name = texts[i]}, &model), STATUS_USAGE);
        assert_non_null(strstr(status_message(), "2^31"));
    }
}

/* ---- checkpoints ---- */

static struct rvk_context *open_context(void) {
    struct rvk_context *context;
    if (rvk_open(&(struct rvk_open_options){.device = getenv("TEST_DEVICE"), .no_cache = true}, &context) != RVK_OK)
        fail_msg("%s", rvk_message());
    return context;
}

static void train(struct rvk_context *context, const struct rvk_train_options *options) {
    struct rvk_train_result result;
    if (rvk_train(context, options, &result) != RVK_OK)
        fail_msg("%s", rvk_message());
    assert_true(result.tested);
}

static void checkpoints_do_not_need_the_file(void **state) {
    (void)state;
    struct rvk_context *context = open_context();
    char path[128], out[64], last[128];
    snprintf(path, sizeof path, "%s",
             put("tiny.json", "{\"kind\": \"basic\", \"blocks\": [1, 1], \"stem\": \"small\", \"filters\": 8, "
                              "\"squeeze\": 4, \"name\": \"tiny\"}"));
    snprintf(out, sizeof out, "%s/run", folder);
    snprintf(last, sizeof last, "%s/last.safetensors", out);
    train(context,
          &(struct rvk_train_options){
              .model = path, .data = "generated:count=48,classes=4,size=8", .batch = 16, .epochs = 1, .out = out});
    struct rvk_model *model;
    struct rvk_load_options named = {.model = path};
    assert_int_equal(rvk_load_model(context, last, &named, &model), RVK_OK);
    rvk_free_model(model);
    assert_int_equal(unlink(path), 0);
    train(context, &(struct rvk_train_options){.resume = last, .epochs = 2});
    struct rvk_model_info info;
    if (rvk_load_model(context, last, NULL, &model) != RVK_OK)
        fail_msg("%s", rvk_message());
    rvk_get_model_info(model, &info);
    assert_string_equal(info.name, "tiny");
    assert_int_equal(info.height, 8);
    rvk_free_model(model);
    named.model = "resnet20";
    assert_int_equal(rvk_load_model(context, last, &named, &model), RVK_USAGE);
    rvk_close(context);
}

/* A checkpoint may hold a description, not say where one is. */
static void a_checkpoint_that_names_a_file_is_refused(void **state) {
    (void)state;
    static const struct safetensors_text metadata[] = {{"resnet_vk.model", "/etc/some.json"},
                                                       {"resnet_vk.style", "torch"}};
    struct checkpoint checkpoint;
    char path[128];
    snprintf(path, sizeof path, "%s/hostile.safetensors", folder);
    assert_int_equal(safetensors_write(path, NULL, 0, metadata, COUNT(metadata)), STATUS_OK);
    assert_int_equal(checkpoint_open(path, &checkpoint), STATUS_DATA);
    assert_non_null(strstr(status_message(), "the metadata resnet_vk.model names a file"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptions_of_named_networks_are_these),
        cmocka_unit_test(the_text_stands_for_the_file),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(networks_that_are_too_large_are_refused),
        cmocka_unit_test(checkpoints_do_not_need_the_file),
        cmocka_unit_test(a_checkpoint_that_names_a_file_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
