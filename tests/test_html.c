/* html: pages that hold what hostile files say, and charts with coordinates worked out by hand. */
#include "base/file.h"
#include "base/memory.h"
#include "cli/html.h"

#include "folder.h"
#include "html.h"

#include <math.h>
#include <stdlib.h>

static char path[64];
static char *page; /* the last one written */

static void finish(struct html *html) {
    uint8_t *bytes;
    size_t size;
    snprintf(path, sizeof path, "%s/page.html", folder);
    assert_int_equal(html_close(html, path), RVK_OK);
    assert_int_equal(file_read(path, 1 << 20, &bytes, &size), STATUS_OK);
    free(page);
    page = (char *)bytes;
    html_check(page);
}

static void holds(const char *part) {
    if (!strstr(page, part))
        fail_msg("the page does not hold %s:\n%s", part, page);
}

/* ---- text ---- */

static char *escaped(const char *text) {
    char *bytes = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&bytes, &size);
    assert_non_null(out);
    text_escape(out, text);
    fclose(out);
    return bytes;
}

static void test_escape(void **state) {
    (void)state;
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"plain", "plain"},
        {"<b a='1' c=\"2\">&amp;", "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;amp;"},
        {"caf\xC3\xA9 \xE7\x8C\xAB \xF0\x9F\x90\x88", "caf\xC3\xA9 \xE7\x8C\xAB \xF0\x9F\x90\x88"},
        {"a\x1b[2Jb\nc\x7F", "a\xEF\xBF\xBD[2Jb\xEF\xBF\xBD"
                             "c\xEF\xBF\xBD"},
        {"\xC2\x85", "\xEF\xBF\xBD"},                             /* a control character of two bytes */
        {"\xFFx\xC3", "\xEF\xBF\xBDx\xEF\xBF\xBD"},               /* stray, and cut at the end */
        {"\xE0\x80\xBC", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* '<' in three bytes */
        {"\xC0\xBC", "\xEF\xBF\xBD\xEF\xBF\xBD"},                 /* '<', overlong */
        {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* a surrogate */
        {"\xF4\x90\x80\x80!", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD!"}, /* above U+10FFFF */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *shown = escaped(cases[i].text);
        assert_string_equal(shown, cases[i].shown);
        free(shown);
    }
    assert_int_equal(text_length("caf\xC3\xA9 \xE7\x8C\xAB\xFF"), 7);
    char *valid = text_valid("<\xFF\xC3\xA9");
    assert_string_equal(valid, "<\xEF\xBF\xBD\xC3\xA9");
    free(valid);
}

#define HOSTILE "</title><script>alert(1)</script>\" onload=\"x' & \x01\xFF"

static void test_page(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0, 0xFF, 'M', 'a', 'n'};
    struct html html;
    assert_int_equal(html_open(&html, HOSTILE, HOSTILE), RVK_OK);
    html_section(html.out, HOSTILE, HOSTILE);
    html_section(html.out, "only a heading", NULL);
    html_facts(html.out, (const struct html_fact[]){{HOSTILE, "<b>&\"'"}, {"top-1", "87.3 %"}}, 2);
    html_image(html.out, "image/png", bytes, 5, HOSTILE);
    html_image(html.out, "image/png", bytes + 2, 1, "");
    html_image(html.out, "image/png", bytes + 2, 3, "");
    finish(&html);
    holds("<dt>top-1</dt><dd>87.3 %</dd>");
    holds("base64,AP9NYW4=\"");
    holds("base64,TQ==\"");
    holds("base64,TWFu\"");
    assert_null(strstr(page, "<script"));
    assert_int_equal(html_open(&html, "a page that is thrown away", ""), RVK_OK);
    assert_int_equal(html_close(&html, NULL), RVK_OK);
    assert_int_equal(html_close(&html, path), RVK_OK); /* closed before: nothing is written */
    uint8_t *after;
    size_t size;
    assert_int_equal(file_read(path, 1 << 20, &after, &size), STATUS_OK);
    assert_string_equal((char *)after, page);
    free(after);
    assert_int_equal(html_open(&html, "a", "b"), RVK_OK);
    assert_int_equal(html_close(&html, "/nonexistent/page.html"), RVK_IO);
}

/* ---- charts ---- */

static void draw(const struct html_chart *chart) {
    struct html html;
    assert_int_equal(html_open(&html, "chart", ""), RVK_OK);
    html_chart(html.out, chart);
    finish(&html);
}

/* The panel is 564 wide and 240 high, its upper left corner at (56, 48). */
static void test_chart(void **state) {
    (void)state;
    static const double x[] = {1, 2, 3}, y[] = {10, 0, 20}, holes[] = {10, NAN, 20}, far[] = {20, 1e9, 0};
    const struct html_series series[] = {
        {.name = "a<b", .x = x, .y = y, .count = 3},
        {.name = "with a hole", .x = x, .y = holes, .count = 3, .color = HTML_COLORS + 1, .dashed = true},
    };
    struct html_chart chart = {"errors & more", "epoch", "error (%)", series, 2, 0};
    draw(&chart);
    holds("<path class=\"line\" style=\"stroke:var(--c0)\" d=\"M56.0 168.0L338.0 288.0L620.0 48.0\"/>");
    holds("<path class=\"line\" style=\"stroke:var(--c1)\" stroke-dasharray=\"5 4\" d=\"M56.0 168.0L620.0 48.0\"/>");
    holds("</svg>a&lt;b</li>");
    holds("<title>errors &amp; more</title>");
    assert_null(strstr(page, "nan"));
    const struct html_series away = {.name = "diverged", .x = x, .y = far, .count = 3};
    chart = (struct html_chart){"t", "x", "y", &away, 1, 20};
    draw(&chart);
    holds("d=\"M56.0 48.0L338.0 -192.0L620.0 288.0\"/>"); /* above the panel, not at -1e10 */
}

/* One point, no point, no series: never a division by zero. */
static void test_small_charts(void **state) {
    (void)state;
    static const double one = 1, none = NAN, huge = 1e300;
    struct html_series series = {.name = "s", .x = &one, .y = &one, .count = 1};
    draw(&(struct html_chart){"t", "x", "y", &series, 1, 0});
    holds("cx=\"56.0\" cy=\"168.0\"");
    assert_null(strstr(page, "nan"));
    assert_null(strstr(page, "inf"));
    series.y = &none;
    draw(&(struct html_chart){"t", "x", "y", &series, 1, 0});
    assert_null(strstr(page, "<svg"));
    series.y = &huge;
    draw(&(struct html_chart){"t", "x", "y", &series, 1, 0});
    draw(&(struct html_chart){"t", "x", "y", NULL, 0, 0});
    assert_null(strstr(page, "<svg"));
}

static int tear_down(void **state) {
    free(page);
    return remove_folder(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_chart),
        cmocka_unit_test(test_small_charts),
    };
    return cmocka_run_group_tests(tests, make_folder, tear_down);
}
