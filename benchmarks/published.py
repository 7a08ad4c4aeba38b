"""How long the published networks take to profile: the space, the tree, the graph and the counts, nothing built.

    python benchmarks/published.py

Seconds of this process's CPU for a first profile of each network, the slowest last; beside it, for the slowest ten,
building the module on the meta device, which is what counting by torch would need before it counts anything.
"""

from __future__ import annotations

import time

import torch

from nas import plugins
from nas.build import build

SHOWN = 10


def main() -> None:
    """Print the table."""
    rows = []
    for name, network in plugins.catalogue().items():
        start = time.process_time()
        total = network.profile().total
        rows.append((time.process_time() - start, name, total))
    rows.sort()
    middle, whole = rows[len(rows) // 2][0], sum(r[0] for r in rows)
    print(f"{len(rows)} published networks; median {middle:.4f} s, all {whole:.2f} s")
    for seconds, name, total in rows[-SHOWN:]:
        network = plugins.published(name)
        start = time.process_time()
        with torch.device("meta"):
            build(network.network(), network.own.input)
        built = time.process_time() - start
        counted = f"{total.params:,} params, {total.macs:,} MACs"
        print(f"{name:28} {seconds:.3f} s, building {built:.3f} s (ratio {built / seconds:.1f}): {counted}")


if __name__ == "__main__":
    main()
