#include "cli/html.h"

#include "base/file.h"

#include <stdlib.h>

/* Blue for what is right, orange for what is wrong: they differ for the colour-blind too. */
static const char style[] =
    ":root{color-scheme:light dark;--page:#fff;--ink:#1f2328;--soft:#59636e;--line:#e1e5ea;--axis:#8c959f;"
    "--card:#f5f7f9;--right:36 104 180;--wrong:201 84 10;--c0:#2468b4;--c1:#c9540a;--c2:#1a7f4b;--c3:#8a3ffc;"
    "--c4:#b0296f;--c5:#0e7c86;--c6:#8a6a00;--c7:#57606a}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#14181d;--ink:#e6edf3;--soft:#9aa5b1;--line:#2d343c;"
    "--axis:#6b7580;--card:#1c2229;--right:82 152 222;--wrong:232 124 48;--c0:#6cb0f5;--c1:#f59a52;--c2:#56c288;"
    "--c3:#b794ff;--c4:#f07ab3;--c5:#4fc3cd;--c6:#d9b23c;--c7:#9aa5b1}}\n"
    "body{margin:0 auto;max-width:70rem;padding:2rem 1.25rem 4rem;background:var(--page);color:var(--ink);"
    "font:15px/1.5 system-ui,'DejaVu Sans',sans-serif}\n"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.5rem 0 .25rem}p{margin:.25rem 0 1rem;"
    "color:var(--soft);max-width:46rem;overflow-wrap:anywhere}\n"
    ".facts{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.25rem 0 0;padding:0}"
    ".facts div{background:var(--card);border-radius:8px;padding:.6rem 1rem;min-width:6.5rem}"
    ".facts dt{font-size:.8rem;color:var(--soft)}"
    ".facts dd{margin:0;font-size:1.35rem;font-weight:600;font-variant-numeric:tabular-nums}\n"
    ".columns{display:flex;flex-wrap:wrap;gap:0 "
    "4rem}.columns>div{max-width:30rem}.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;font-"
    "variant-numeric:tabular-nums}"
    "th{font-weight:500;color:var(--soft)}td,th{padding:.25rem .6rem;text-align:right}"
    "td.name,th.name{text-align:left;vertical-align:bottom;overflow-wrap:anywhere}"
    "tbody tr{border-top:1px solid var(--line)}\n"
    "svg text{font:12px system-ui,'DejaVu Sans',sans-serif;fill:var(--soft)}"
    "svg .title{font-size:14px;font-weight:600;fill:var(--ink)}"
    ".grid{stroke:var(--line);fill:none}.axis{stroke:var(--axis);fill:none}.line{fill:none;stroke-width:1.8;"
    "stroke-linejoin:round}.end{text-anchor:end}.middle{text-anchor:middle}"
    "figure{margin:1rem 0}.chart{width:100%;max-width:46rem;height:auto;display:block}"
    ".legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;margin:.4rem 0 0;padding:0;font-size:.85rem}"
    ".legend svg{vertical-align:middle;margin-right:.4rem}\n"
    ".matrix td{min-width:2.2rem;text-align:center;padding:.3rem;border:1px solid var(--page)}"
    ".matrix tbody tr{border:0}.matrix .dark{color:#fff}"
    ".turned{height:6.5rem;vertical-align:bottom;padding:0 .3rem .4rem;text-align:center}"
    ".turned span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:6.5rem}"
    ".map svg{width:100%;max-width:46rem;height:auto;display:block;border:1px solid var(--line)}"
    "summary{cursor:pointer;color:var(--soft)}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:1rem;margin:1rem 0;padding:0;"
    "list-style:none}.cards li{background:var(--card);border-radius:8px;overflow:hidden;break-inside:avoid}"
    ".cards img{display:block;width:100%}.cards div{padding:.4rem .8rem .8rem;font-size:.85rem}"
    ".cards p{font-size:.75rem;margin:.5rem 0 0}"
    ".bar{display:grid;grid-template-columns:1fr auto;column-gap:.5rem;margin-top:.35rem;overflow-wrap:anywhere;"
    "line-height:1.3;font-variant-numeric:tabular-nums}.bar i{grid-column:1/3;height:3px;margin-top:2px;"
    "border-radius:2px;background:var(--line)}"
    ".bar b{display:block;height:100%;border-radius:2px;background:rgb(var(--right))}"
    ".bar b.wrong{background:rgb(var(--wrong))}\n"
    "footer{margin-top:3rem;color:var(--soft);font-size:.8rem}\n"
    "@media print{body{max-width:none;padding:0}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n";

enum rvk_status html_open(struct html *page, const char *title, const char *about) {
    *page = (struct html){0};
    page->out = open_memstream(&page->bytes, &page->size);
    if (!page->out)
        return cli_fail(RVK_MEMORY, "out of host memory for a page");
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          /* no script and nothing from elsewhere, whatever a name from a file might try */
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
          "img-src data:\">\n<title>",
          page->out);
    text_escape(page->out, title);
    fprintf(page->out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<h1>", style);
    text_escape(page->out, title);
    fputs("</h1>\n<p>", page->out);
    text_escape(page->out, about);
    fputs("</p>\n", page->out);
    return RVK_OK;
}

enum rvk_status html_close(struct html *page, const char *path) {
    enum rvk_status status = RVK_OK;
    if (!page->out)
        return RVK_OK;
    fprintf(page->out, "<footer>resnet-vk %s</footer>\n</body>\n</html>\n", rvk_version());
    bool complete = !ferror(page->out);
    if (fclose(page->out) != 0 || !complete)
        status = cli_fail(RVK_MEMORY, "out of host memory for a page");
    if (status == RVK_OK && path)
        status = (enum rvk_status)file_write_atomic(path, &(struct file_piece){page->bytes, page->size}, 1);
    free(page->bytes);
    *page = (struct html){0};
    return status;
}

void html_section(FILE *out, const char *title, const char *text) {
    fputs("<h2>", out);
    text_escape(out, title);
    fputs("</h2>\n", out);
    if (!text)
        return;
    fputs("<p>", out);
    text_escape(out, text);
    fputs("</p>\n", out);
}

void html_facts(FILE *out, const struct html_fact *facts, size_t count) {
    fputs("<dl class=\"facts\">\n", out);
    for (size_t i = 0; i < count; i++) {
        fputs("<div><dt>", out);
        text_escape(out, facts[i].name);
        fputs("</dt><dd>", out);
        text_escape(out, facts[i].value);
        fputs("</dd></div>\n", out);
    }
    fputs("</dl>\n", out);
}

/* RFC 4648, with padding. */
static void put_base64(FILE *out, const uint8_t *bytes, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        uint32_t word = (uint32_t)bytes[i] << 16;
        if (i + 1 < size)
            word |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < size)
            word |= bytes[i + 2];
        fputc(digits[word >> 18], out);
        fputc(digits[word >> 12 & 63], out);
        fputc(i + 1 < size ? digits[word >> 6 & 63] : '=', out);
        fputc(i + 2 < size ? digits[word & 63] : '=', out);
    }
}

void html_image(FILE *out, const char *type, const uint8_t *bytes, size_t size, const char *alt) {
    fprintf(out, "<img src=\"data:%s;base64,", type);
    put_base64(out, bytes, size);
    fputs("\" alt=\"", out);
    text_escape(out, alt);
    fputs("\">", out);
}

/* ---- pictures side by side ---- */

void html_cards_begin(FILE *out) {
    fputs("<ul class=\"cards\">\n", out);
}

void html_cards_end(FILE *out) {
    fputs("</ul>\n", out);
}

static void put_bar(FILE *out, const struct html_bar *bar) {
    fputs("<span class=\"bar\"><span>", out);
    text_escape(out, bar->name);
    fputs("</span>", out);
    if (bar->share >= 0 && bar->share <= 1)
        fprintf(out, "<span>%.1f\xE2\x80\xAF%%</span><i><b%s style=\"width:%.1f%%\"></b></i>", 100 * bar->share,
                bar->wrong ? " class=\"wrong\"" : "", 100 * bar->share);
    fputs("</span>\n", out);
}

void html_card(FILE *out, const uint8_t *jpeg, size_t size, const struct html_bar *bars, size_t count,
               const char *note) {
    fputs("<li>", out);
    if (jpeg)
        html_image(out, "image/jpeg", jpeg, size, count ? bars[0].name : "");
    fputs("<div>\n", out);
    for (size_t i = 0; i < count; i++)
        put_bar(out, &bars[i]);
    if (note) {
        fputs("<p>", out);
        text_escape(out, note);
        fputs("</p>", out);
    }
    fputs("</div></li>\n", out);
}
