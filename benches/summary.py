"""Results: medians, quartiles and tables."""

from dataclasses import dataclass, field
from statistics import median, quantiles


@dataclass
class Result:
    """What a scenario found: a table to read, and everything for other programs."""

    title: str
    columns: list
    rows: list
    data: dict = field(default_factory=dict)


def spread(values):
    """The quartiles of some measurements."""
    if len(values) == 1:
        return {"q1": values[0], "median": values[0], "q3": values[0], "values": values}
    q1, _, q3 = quantiles(values, n=4, method="inclusive")
    return {"q1": q1, "median": median(values), "q3": q3, "values": values}


def table(columns, rows):
    """A table in Markdown, with its columns aligned."""
    lines = [columns, *rows]
    lines = [[str(cell) for cell in line] for line in lines]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    ruled = [lines[0], ["-" * width for width in widths], *lines[1:]]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in ruled]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def show(values, digits, unit=1):
    """A median and its quartiles, as text."""
    lower, middle, upper = (f"{values[name] / unit:.{digits}f}" for name in ("q1", "median", "q3"))
    return f"{middle} ({lower}–{upper})"
