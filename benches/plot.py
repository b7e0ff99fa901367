"""Draws the results as SVG: a line for each measured thing, with a dot for each run, the quartiles and the goal."""

from html import escape
from math import ceil, log10

WIDTH, LEFT, RIGHT, LINE, HEAD = 780, 250, 640, 30, 46

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 } .small { font-size: 11px; fill: #656d76 }
.axis { stroke: #8c959f; stroke-width: 1 } .dot { fill: #0969da; fill-opacity: .45 }
.box { fill: none; stroke: #0969da; stroke-width: 1.5 } .median { stroke: #0969da; stroke-width: 3 }
.goal { stroke: #bc4c00; stroke-width: 1.5; stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .axis { stroke: #6e7681 } .dot { fill: #58a6ff }
  .box, .median { stroke: #58a6ff } .goal { stroke: #f0883e }
}
"""

NAMES = {"warm": "one warm key", "many": "many keys, tokens, orgs"}
CAPACITY_GOALS, P99_GOAL, BYTES_GOAL = {"warm": 0.85, "many": 0.75}, 1.5, 900


def plot(results):
    """The picture of those scenarios that measured something more than once."""
    pairs = {name: results[name].data for name in ("warm", "many") if name in results}
    panels = []
    if pairs:
        capacity = [(NAMES[name], data["ratio"]["capacity"], CAPACITY_GOALS[name]) for name, data in pairs.items()]
        p99 = [(NAMES[name], data["ratio"]["p99"], P99_GOAL) for name, data in pairs.items()]
        who = ("ceiling", "keybroker")
        rps = [(f"{NAMES[name]}: {one}", data[one]["rps"], None) for name, data in pairs.items() for one in who]
        panels.append(("Capacity, as a share of the ceiling’s (goal: at least)", capacity, 2))
        panels.append(("p99, as a multiple of the ceiling’s (goal: at most)", p99, 2))
        panels.append(("Requests a second, on one core", rps, 0))
    if "memory" in results:
        bytes_each = [(f"{count:,} connections", kept, BYTES_GOAL) for count, kept in results["memory"].data.items()]
        panels.append(("Bytes for a cached connection of 150 bytes (goal: at most)", bytes_each, 0))
    parts, top = [], 8
    for title, lines, digits in panels:
        parts.append(panel(title, lines, digits, top))
        top += HEAD + LINE * len(lines) + 28
    size = f'width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}"'
    start = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><style>{STYLE}</style>'
    return "\n".join([start, *parts, "</svg>\n"])


def panel(title, lines, digits, top):
    step = round_step(max(max(*values["values"], values["median"], goal or 0) for _, values, goal in lines))
    most = 4 * step
    bottom = top + HEAD + LINE * len(lines)

    def x(value):
        return LEFT + (RIGHT - LEFT) * max(value, 0) / most

    parts = [text(12, top + 18, title, "title"), line(LEFT, bottom, RIGHT, bottom, "axis")]
    for quarter in range(5):
        value = step * quarter
        parts.append(line(x(value), bottom, x(value), bottom + 4, "axis"))
        parts.append(text(x(value), bottom + 17, f"{value:,.{digits}f}", "small", "middle"))
    for place, (label, values, goal) in enumerate(lines):
        middle = top + HEAD + LINE * place + LINE / 2 - 4
        parts.append(text(LEFT - 12, middle + 4, label, anchor="end"))
        parts += [f'<circle class="dot" cx="{x(value):.1f}" cy="{middle}" r="3.5"/>' for value in values["values"]]
        left, width = x(values["q1"]), x(values["q3"]) - x(values["q1"])
        parts.append(f'<rect class="box" x="{left:.1f}" y="{middle - 8}" width="{width:.1f}" height="16" rx="2"/>')
        parts.append(line(x(values["median"]), middle - 9, x(values["median"]), middle + 9, "median"))
        if goal:
            parts.append(line(x(goal), middle - 13, x(goal), middle + 13, "goal"))
        shown = f"{values['median']:,.{digits}f}" + (f" (goal {goal:g})" if goal else "")
        parts.append(text(RIGHT + 16, middle + 4, shown))
    return "\n".join(parts)


def round_step(most):
    """A quarter of the axis, such that it holds `most`: 1, 1.5, 2, 2.5, 3, 4, 5, 6 or 8 of some power of ten."""
    power = 10 ** (ceil(log10(most / 4)) - 1) if most > 0 else 1
    return next(step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if 4 * step * power >= most)


def line(x1, y1, x2, y2, kind):
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1}" x2="{x2:.1f}" y2="{y2}"/>'


def text(x, y, words, kind="", anchor="start"):
    return f'<text class="{kind}" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'
