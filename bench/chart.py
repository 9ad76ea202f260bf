"""One kind of chart, as SVG text: a bar for each gateway, as long as the median, and a line over it from the
least to the most of the rounds. Used by bench/report.py."""
import html
import statistics

WIDTH, ROW, TOP, LEFT, RIGHT = 760, 34, 52, 210, 90
OURS, THEIRS = "#1f6f5c", "#9aa5ad"


def bars(title, values):
    """`values`: for each name the figures of the rounds."""
    height = TOP + ROW * len(values) + 14
    most = max(max(row) for row in values.values()) or 1
    scale = (WIDTH - LEFT - RIGHT) / most
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
             f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="14">',
             f'<title>{html.escape(title)}</title>',
             f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
             f'<text x="16" y="28" font-size="16" font-weight="bold" fill="#1b1f23">{html.escape(title)}</text>']
    for index, (name, row) in enumerate(values.items()):
        parts += bar(name, row, TOP + ROW * index, scale)
    return "\n".join([*parts, "</svg>"]) + "\n"


def bar(name, row, top, scale):
    middle, median = top + ROW / 2 - 3, max(statistics.median(row), 0)
    least, most = LEFT + max(min(row), 0) * scale, LEFT + max(max(row), 0) * scale
    color = OURS if name.startswith("sallyport") else THEIRS
    label = f"{median:,.1f}" if median >= 10 else f"{median:,.2f}"
    return [f'<text x="{LEFT - 10}" y="{middle + 5:.0f}" text-anchor="end" fill="#1b1f23">{html.escape(name)}</text>',
            f'<rect x="{LEFT}" y="{top:.0f}" width="{median * scale:.1f}" height="{ROW - 10}" fill="{color}"/>',
            f'<line x1="{least:.1f}" x2="{most:.1f}" y1="{middle - 2:.0f}" y2="{middle - 2:.0f}" stroke="#1b1f23" '
            'stroke-width="2"/>',
            f'<text x="{max(most, LEFT + median * scale) + 8:.1f}" y="{middle + 5:.0f}" '
            f'fill="#1b1f23">{label}</text>']
