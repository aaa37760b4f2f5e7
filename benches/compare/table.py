"""The table of one kind of exchange."""
import statistics

# key, heading, format
MEASURES = [
    ("instructions", "instructions/request", "{:,.0f}"),
    ("user", "of them user", "{:,.0f}"),
    ("cpu", "CPU µs/request", "{:.2f}"),
    ("rate", "requests/s", "{:,.0f}"),
    ("cpu_many", "CPU µs/request, 1024 connections", "{:.2f}"),
    ("idle", "idle MiB", "{:.1f}"),
    ("connection", "KiB/connection", "{:.1f}"),
    ("begin", "ms to the first 200", "{:.0f}"),
]
# What the others are compared with: the first of these that takes part.
REFERENCES = ["nginx", "haproxy"]


def show(kind, running):
    """Medians, and in brackets the median of the ratios to the reference's value in the same round."""
    named = {proxy.name: proxy for proxy in running}
    reference = next((named[name] for name in REFERENCES if name in named), running[0])
    print(f"\n| {kind.name}: {kind.heading}, {kind.load} (ratio to {reference.name}) | " + " | ".join(named) + " |")
    print("|---|" + "---:|" * len(running))
    for key, heading, form in MEASURES:
        cells = [cell(key, form, proxy.samples, reference.samples) for proxy in running]
        if any(cell != "-" for cell in cells):
            print(f"| {heading} | " + " | ".join(cells) + " |", flush=True)


def cell(key, form, ours, theirs):
    pairs = [(our[key], their[key]) for our, their in zip(ours, theirs) if key in our and their.get(key)]
    if not pairs:
        return "-"
    middle = statistics.median(our for our, _ in pairs)
    ratio = statistics.median(our / their for our, their in pairs)
    return f"{form.format(middle)} ({ratio:.2f})"
