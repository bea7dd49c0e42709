"""Hold a part, your own or a built-in one, to what its family promises.

  snnlab check neuron my_neuron  run the public battery, and say what holds and what does not
  snnlab check neuron            run it over every part of a family
  snnlab check … --json          the same for programs

Exit code 0 if everything holds, 1 if not.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    parser = ArgumentParser("snnlab check", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("family", help="neuron, surrogate, loss, …")
    parser.add_argument("name", nargs="?", help="the name of a part; all of the family by default")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)

    from snnlab import registry, testing

    names = [arguments.name] if arguments.name else registry.names(arguments.family)
    found = {name: testing.results(arguments.family, name) for name in names}
    if arguments.json:
        print(json.dumps({name: [result._asdict() for result in results] for name, results in found.items()}, indent=2))
    else:
        print("\n\n".join(_page(arguments.family, name, results) for name, results in found.items()))
    return int(any(not result.ok for results in found.values() for result in results))


def _page(family: str, name: str, results: Sequence[testing.Result]) -> str:  # type: ignore[name-defined]  # noqa: F821
    lines = [f"{family} {name}"]
    for result in results:
        mark = "skipped" if result.skipped else "holds" if result.ok else "FAILS"
        reason = result.skipped or result.reason
        lines.append(f"  {mark:<8} {result.name}" + (f"\n           {reason}" if reason else ""))
    failed = sum(not result.ok for result in results)
    return "\n".join(
        [*lines, f"  {len(results) - failed} of {len(results)} promises hold." if failed else "  Everything holds."]
    )
