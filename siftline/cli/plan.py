"""How many replicas, how much memory and what cost a load needs, from measured figures."""

import argparse
from pathlib import Path

from siftline import capacity
from siftline.errors import SiftlineError

RESULTS = Path("benchmarks/results")
# What latest.json has been measured with. The speed of other models has to be given.
MEASURED = {"all-minilm-l6-v2": 384}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    defaults, choices = capacity.Load(1, 1), capacity.Choices()
    parser.add_argument("--qps", type=float, required=True, metavar="N", help="queries a second at the peak")
    parser.add_argument("--corpus", type=int, required=True, metavar="N", help="passages")
    parser.add_argument("--model", default="all-minilm-l6-v2", help="embedding model (default %(default)s)")
    parser.add_argument("--dimensions", type=int, metavar="N", help="of its vectors; known for measured models")
    parser.add_argument("--depth", type=int, default=defaults.depth, help="passages reranked (%(default)s)")
    parser.add_argument("--passage-tokens", type=float, default=defaults.passage_tokens, metavar="N")
    parser.add_argument("--passage-bytes", type=float, default=defaults.passage_bytes, metavar="N")
    parser.add_argument("--cache-hits", type=float, default=0.0, metavar="SHARE", help="queries seen before (0)")
    parser.add_argument("--utilization", type=float, default=choices.utilization, metavar="SHARE", help="(%(default)s)")
    parser.add_argument("--shard-gib", type=float, default=choices.shard_gib, metavar="N", help="(%(default)s)")
    parser.add_argument("--embed-speed", type=float, metavar="N", help="tokens a second of one unit, your measurement")
    parser.add_argument("--rerank-speed", type=float, metavar="N", help="the same for the reranker")
    parser.add_argument("--gpu", metavar="NAME", help="the unit is this GPU; needs both speeds: none was measured yet")
    parser.add_argument("--unit-price", type=float, default=0.0, metavar="X", help="of one replica or GPU, per hour")
    parser.add_argument("--gib-price", type=float, default=0.0, metavar="X", help="of a GiB of memory, per hour")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="default %(default)s")


def run(options: argparse.Namespace) -> int:
    if not (options.qps > 0 and options.corpus > 0 and 0 < options.utilization <= 1 and 0 <= options.cache_hits <= 1):
        raise _wrong("--qps and --corpus have to be above 0, --utilization and --cache-hits shares of 1")
    unit, dimensions = _unit(options), options.dimensions or MEASURED.get(options.model, 0)
    if not dimensions:
        raise _wrong(f"--dimensions: not known of {options.model!r}, which was not measured")
    index = capacity.measured_index(options.results / "index-memory.json")
    load = capacity.Load(
        options.qps,
        options.corpus,
        passage_tokens=options.passage_tokens,
        passage_bytes=options.passage_bytes,
        depth=options.depth,
        cache_hits=options.cache_hits,
    )
    choices = capacity.Choices(
        utilization=options.utilization,
        shard_gib=options.shard_gib,
        unit_price=options.unit_price,
        gib_price=options.gib_price,
    )
    _show(capacity.plan(load, unit, index, dimensions, choices), unit, index, choices)
    return 0


def _unit(options: argparse.Namespace) -> capacity.Unit:
    """What was measured, or what the caller says of it, and never a mixture."""
    speeds = options.embed_speed, options.rerank_speed
    if all(speeds):
        kind = options.gpu or "replica"
        embed, rerank = speeds
        return capacity.Unit(
            embed, rerank, embed, f"GIVEN on the command line, not measured by siftline ({kind})", kind
        )
    if options.gpu or any(speeds) or options.model not in MEASURED:
        what = f"on {options.gpu}" if options.gpu else f"of {options.model!r}"
        raise _wrong(f"no speed {what} was measured yet: --embed-speed and --rerank-speed are both needed")
    return capacity.measured_unit(options.results / "latest.json")


def _show(found: capacity.Plan, unit: capacity.Unit, index: capacity.Index, choices: capacity.Choices) -> None:
    name = "replicas" if unit.kind == "replica" else f"GPUs ({unit.kind})"
    rows = {
        f"embed {name}": f"{found.embed}",
        f"rerank {name}": f"{found.rerank}",
        "index memory": f"{found.index_gib:,.1f} GiB, {choices.copies} copies: {found.index_gib * choices.copies:,.1f}",
        "index shards": f"{found.shards} of at most {choices.shard_gib:g} GiB",
        "cache memory": f"{found.cache_gib:,.1f} GiB",
        "embedding the corpus": f"{found.index_hours:,.1f} hours on the embed {name} alone",
        "cost per million queries": f"{found.cost_per_million:,.2f}" if found.cost_per_million else "no price given",
    }
    for what, value in rows.items():
        print(f"{what:26} {value}")
    print(f"\nspeed: {unit.source}: {unit.embed_tokens_per_s:,.0f} embed and {unit.rerank_tokens_per_s:,.0f} rerank")
    print(f"tokens/s per unit. Index memory: {index.source}.")
    print(f"Units are busy for {choices.utilization:.0%} at the peak, {choices.spares} of each stage is spare.")
    if found.shards > 1:
        print("More than one shard needs a Redis 8 that fans out, or a collection per shard: see docs/capacity.md.")


def _wrong(problem: str) -> SiftlineError:
    import grpc

    return SiftlineError(problem, code=grpc.StatusCode.INVALID_ARGUMENT)
