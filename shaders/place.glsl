// Where a vec4 of the written tensor lies. Include it after the push words, which name `quads`, `columns` and `rows`: the
// divisors of its vec4 of a pixel, its width and its height.
struct Place { uint quad, column, row, image; };

Place place(uint i) {
    Place p;
    uint pixel = divide(i, quads), line = divide(pixel, columns);
    p.quad = i - pixel * quads.value;
    p.column = pixel - line * columns.value;
    p.image = divide(line, rows);
    p.row = line - p.image * rows.value;
    return p;
}
