/* html_chart: lines in a page, as SVG that takes its colours from the page. */
#include "cli/html.h"

#include "base/chart.h"

#include <math.h>

enum { WIDTH = 640, HEIGHT = 340, LEFT = 56, TOP = 48, PANEL_WIDTH = 564, PANEL_HEIGHT = 240, MOST_DOTS = 24 };

struct panel {
    FILE *out;
    struct axis x, y;
};

static bool is_drawn(const struct html_series *series, size_t i) {
    return isfinite(series->x[i]) && isfinite(series->y[i]) && fabs(series->x[i]) <= 1e9 && fabs(series->y[i]) <= 1e9;
}

/* False when there is no point at all. */
static bool find_axes(const struct html_chart *chart, struct panel *panel) {
    double left = INFINITY, right = -INFINITY, low = INFINITY, high = -INFINITY;
    for (size_t s = 0; s < chart->count; s++)
        for (size_t i = 0; i < chart->series[s].count; i++)
            if (is_drawn(&chart->series[s], i)) {
                left = fmin(left, chart->series[s].x[i]), right = fmax(right, chart->series[s].x[i]);
                low = fmin(low, chart->series[s].y[i]), high = fmax(high, chart->series[s].y[i]);
            }
    if (!(left <= right))
        return false;
    if (chart->highest > low)
        high = fmin(high, chart->highest);
    right = fmax(right, left + 1);
    panel->x = (struct axis){left, right, fmax(1, chart_tick(right - left, 10))};
    panel->y = chart_axis(low, high, 6);
    return true;
}

static double place_x(const struct panel *panel, double x) {
    return LEFT + PANEL_WIDTH * (x - panel->x.low) / (panel->x.high - panel->x.low);
}

/* A value far above the panel stays a number that a viewer can draw. */
static double place_y(const struct panel *panel, double y) {
    return TOP + PANEL_HEIGHT * fmax(-1, (panel->y.high - y) / (panel->y.high - panel->y.low));
}

static void put_axes(const struct panel *panel, const struct html_chart *chart) {
    const struct axis *x = &panel->x, *y = &panel->y;
    const int bottom = TOP + PANEL_HEIGHT;
    for (int i = 0; y->low + i * y->tick <= y->high + y->tick / 2; i++) {
        double value = y->low + i * y->tick + 0.0, at = place_y(panel, value); /* + 0.0: no -0 */
        fprintf(panel->out,
                "<path class=\"grid\" d=\"M%d %.1fh%d\"/><text class=\"end\" x=\"%d\" y=\"%.1f\">%.*f</text>\n", LEFT,
                at, PANEL_WIDTH, LEFT - 8, at + 4, chart_decimals(y), value);
    }
    for (double k = ceil(x->low / x->tick - 1e-9); k * x->tick <= x->high + 1e-9; k++) {
        double value = k * x->tick + 0.0, at = place_x(panel, value);
        fprintf(panel->out,
                "<path class=\"axis\" d=\"M%.1f %dv4\"/><text class=\"middle\" x=\"%.1f\" y=\"%d\">%.0f</text>\n", at,
                bottom, at, bottom + 18, value);
    }
    fprintf(panel->out, "<path class=\"axis\" d=\"M%d %dh%d\"/>\n<text class=\"middle\" x=\"%d\" y=\"%d\">", LEFT,
            bottom, PANEL_WIDTH, LEFT + PANEL_WIDTH / 2, bottom + 40);
    text_escape(panel->out, chart->x_name);
    fprintf(panel->out, "</text>\n<text x=\"4\" y=\"%d\">", TOP - 12);
    text_escape(panel->out, chart->y_name);
    fputs("</text>\n", panel->out);
}

static void put_stroke(FILE *out, const struct html_series *series) {
    fprintf(out, "class=\"line\" style=\"stroke:var(--c%u)%s\"%s", series->color % HTML_COLORS,
            series->thin ? ";stroke-width:.8" : "", series->dashed ? " stroke-dasharray=\"5 4\"" : "");
}

static void put_series(const struct panel *panel, const struct html_series *series) {
    bool first = true;
    fputs("<path ", panel->out);
    put_stroke(panel->out, series);
    fputs(" d=\"", panel->out);
    for (size_t i = 0; i < series->count; i++)
        if (is_drawn(series, i)) {
            fprintf(panel->out, "%c%.1f %.1f", first ? 'M' : 'L', place_x(panel, series->x[i]),
                    place_y(panel, series->y[i]));
            first = false;
        }
    fputs("\"/>\n", panel->out);
    for (size_t i = 0; i < series->count && series->count <= MOST_DOTS && !series->thin; i++)
        if (is_drawn(series, i))
            fprintf(panel->out, "<circle style=\"fill:var(--c%u)\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>\n",
                    series->color % HTML_COLORS, place_x(panel, series->x[i]), place_y(panel, series->y[i]));
}

static void put_legend(FILE *out, const struct html_chart *chart) {
    fputs("<figcaption><ul class=\"legend\">\n", out);
    for (size_t s = 0; s < chart->count; s++) {
        fputs("<li><svg width=\"26\" height=\"8\" aria-hidden=\"true\"><path ", out);
        put_stroke(out, &chart->series[s]);
        fputs(" d=\"M0 4h26\"/></svg>", out);
        text_escape(out, chart->series[s].name);
        fputs("</li>\n", out);
    }
    fputs("</ul></figcaption>\n", out);
}

void html_chart(FILE *out, const struct html_chart *chart) {
    struct panel panel = {.out = out};
    if (!find_axes(chart, &panel))
        return;
    fprintf(out, "<figure>\n<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\">\n<title>", WIDTH, HEIGHT);
    text_escape(out, chart->title);
    fputs("</title>\n<text class=\"title\" x=\"4\" y=\"16\">", out);
    text_escape(out, chart->title);
    fputs("</text>\n", out);
    put_axes(&panel, chart);
    /* a nested picture cuts off what lies above the panel, without an id that a second chart would repeat */
    fprintf(out, "<svg x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" viewBox=\"%d %d %d %d\">\n", LEFT - 4, TOP - 4,
            PANEL_WIDTH + 8, PANEL_HEIGHT + 8, LEFT - 4, TOP - 4, PANEL_WIDTH + 8, PANEL_HEIGHT + 8);
    for (size_t s = 0; s < chart->count; s++)
        put_series(&panel, &chart->series[s]);
    fputs("</svg>\n</svg>\n", out);
    put_legend(out, chart);
    fputs("</figure>\n", out);
}
