"""The report to read."""

from collections.abc import Iterable, Sequence

from siftline.evaluation.comparison import Measured
from siftline.evaluation.measures import BCE_DEPTH, BCE_TOP
from siftline.evaluation.report import Report, Row

_DIGITS = 3


def page(report: Report, figures: Sequence[str]) -> str:
    """Markdown; `figures` are the PNG files drawn, by name, beside the page."""
    whole = [row for row in report.rows if row.passages == report.passages]
    parts = [
        f"# {report.dataset}, split {report.split}",
        _facts(report),
        _quality(whole),
        *_sizes(report),
        *_llama_index(whole),
        *(f"![{name.removesuffix('.png').replace('-', ' ')}]({name})" for name in figures),
        _how(report),
    ]
    return "\n\n".join(parts) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the columns after the first are set to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main_measure(row: Row) -> str:
    """MRR@10, or at the largest cut-off measured below it."""
    cutoffs = sorted(int(name.partition("@")[2]) for name in row.measures if name.startswith("MRR@"))
    return f"MRR@{max((cutoff for cutoff in cutoffs if cutoff <= 10), default=cutoffs[0])}"


def _facts(report: Report) -> str:
    models = ", ".join(
        f"{stage} {model.name} ({model.engine} {model.precision}, fingerprint {model.fingerprint[:12]})"
        for stage, model in report.models.items()
    )
    unread = f"{report.unread:,} of them unreadable to the reranker, so in recall order; " if report.unread else ""
    seconds = ", ".join(f"{part} {value:.0f} s" for part, value in report.seconds.items())
    return (
        f"{report.queries:,} queries over {report.passages:,} passages; {unread}{models}; "
        f"recall weight {report.recall_weight:g}; seed {report.plan.seed}. Time: {seconds}."
    )


def _quality(rows: Sequence[Row]) -> str:
    main = main_measure(rows[0])
    depth = max(int(name.partition("@")[2]) for name in rows[0].measures)
    cut = main.partition("@")[2]
    others = [f"{name}@{cut}" for name in ("nDCG", "MAP", "hit", "recall")] + [f"recall@{depth}"]
    others = list(dict.fromkeys(others))
    timed = any(row.latency for row in rows)
    head = ["method", main, f"gain over {rows[0].method.name}", "p", *others]
    head += ["p50 ms", "p99 ms"] if timed else []
    return table(head, (_line(row, main, others, timed) for row in rows))


def _line(row: Row, main: str, others: Sequence[str], timed: bool) -> list[str]:
    measured = row.measures[main]
    cells = [row.method.name, interval(measured), gain(measured), p(measured)]
    cells += [f"{row.measures[name].mean:.{_DIGITS}f}" for name in others]
    if timed:
        cells += [f"{row.latency.p50_ms:.1f}", f"{row.latency.p99_ms:.1f}"] if row.latency else ["", ""]
    return cells


def interval(measured: Measured) -> str:
    """0.812 [0.790, 0.834]"""
    return f"{measured.mean:.{_DIGITS}f} [{measured.low:.{_DIGITS}f}, {measured.high:.{_DIGITS}f}]"


def gain(measured: Measured) -> str:
    """+0.149 [+0.120, +0.178], empty for the first method."""
    if measured.gain is None:
        return ""
    each = measured.gain
    return f"{each.mean:+.{_DIGITS}f} [{each.low:+.{_DIGITS}f}, {each.high:+.{_DIGITS}f}]"


def p(measured: Measured) -> str:
    if measured.p is None:
        return ""
    return "< 0.001" if measured.p < 0.001 else f"{measured.p:.3f}"


def _sizes(report: Report) -> list[str]:
    sizes = sorted({row.passages for row in report.rows})
    if len(sizes) == 1:
        return []
    main = main_measure(report.rows[0])
    by_method: dict[str, dict[int, Measured]] = {}
    for row in report.rows:
        by_method.setdefault(row.method.name, {})[row.passages] = row.measures[main]
    lines = ([name, *(interval(by_size[size]) for size in sizes)] for name, by_size in by_method.items())
    return [f"{main} against the number of passages:", table(["method", *(f"{size:,}" for size in sizes)], lines)]


def _llama_index(rows: Sequence[Row]) -> list[str]:
    lines = [
        [row.method.name, *(f"{row.llama_index[name]:.2f}" for name in ("hit_rate", "mrr"))]
        for row in rows
        if row.llama_index
    ]
    caution = (
        f"LlamaIndex's hit rate and MRR as BCEmbedding computes them: {BCE_DEPTH} passages are recalled; with a "
        f"reranker its best {BCE_TOP} count, without one the first {BCE_TOP} of recall. So a part of what the "
        f"reranker seems to gain is that it may look at {BCE_DEPTH} passages to fill {BCE_TOP} places; for what it "
        "does to one list of candidates see MRR above."
    )
    return [caution, table(["method", "hit rate", "MRR"], lines)] if lines else []


def _how(report: Report) -> str:
    queries = f"{report.plan.latency_searches} queries, one at a time, embedded anew each time"
    return (
        "Brackets: 95 % intervals, bootstrap over queries. Gain: paired by query; p: two-sided randomisation test, "
        "adjusted by Holm over the methods. nDCG has linear gain. A corpus of n passages is the first n of one random "
        "order of the whole and the query's own relevant passages; word statistics of BM25 are those of the whole. "
        f"Rerank depths are cut from one search of depth {report.plan.depth}; a pair that several first stages or "
        "corpora find was scored once, in the search that found it first, and the time of searching is that of so much "
        f"work. Latency: {queries}."
    )
