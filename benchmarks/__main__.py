"""`python -m benchmarks [NAME...]`: measure, and print the table."""

import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from types import FrameType

import rich_click as click
from rich.console import Console

from benchmarks import report
from benchmarks.bench import Bench
from benchmarks.databases import Databases, disk_folder
from benchmarks.machine import description
from benchmarks.rows import chosen, names
from benchmarks.run import run


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("wanted", nargs=-1, metavar="[NAME]...")
@click.option("--rounds", type=click.IntRange(1), help="Of ours and the peers in turn.  [3]")
@click.option("--seconds", type=click.IntRange(1), help="That each window is watched.  [6]")
@click.option("--tasks", type=click.IntRange(100), help="Where the table says 10,000.  [10000]")
@click.option("--sizes", help="Of growth, comma-separated.  [1000,10000,100000]")
@click.option("--quick", is_flag=True, help="One round, short windows, a tenth of the tasks.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the table there, too.")
@click.option("--list", "listing", is_flag=True, help="Say which rows there are.")
def main(
    wanted: tuple[str, ...],
    rounds: int | None,
    seconds: int | None,
    tasks: int | None,
    sizes: str | None,
    quick: bool,
    markdown: Path | None,
    listing: bool,
) -> None:
    """Measure the service beside what a user would write or pick instead.

    A NAME is a row, its beginning (`lateness`), or a pattern; without one, all are measured.
    Nothing is asserted.
    """
    if listing:
        click.echo("\n".join(names()))
        return
    try:
        cases = chosen(wanted)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    rounds = rounds or (1 if quick else 3)
    console = Console(width=None if sys.stdout.isatty() else 160)
    signal.signal(signal.SIGTERM, _exit)
    with disk_folder() as folder, closing(Databases(folder)) as databases:
        bench = Bench(
            databases=databases,
            folder=folder,
            seconds=seconds or (2 if quick else 6),
            tasks=tasks or (1_000 if quick else 10_000),
            sizes=_sizes(sizes or ("300,1000" if quick else "1000,10000,100000")),
            say=lambda text: console.print(text, style="dim", highlight=False, markup=False),
        )
        collected = run(cases, bench, rounds)
    shown = [report.cells(row, collected, bench.tasks) for case in cases for row in case.rows]
    rows = [row for row in shown if row]
    growing = report.growth_lines(collected, bench.sizes)
    report.print_table(console, rows)
    report.print_growth(console, growing)
    if markdown:
        how = f"in {rounds} rounds, windows of {bench.seconds} s, {bench.tasks:,} tasks,"
        text = report.markdown(rows, growing, description(), how)
        report.write_markdown(markdown, text)


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(f"--sizes is {text!r}: numbers, separated by commas") from None


def _exit(number: int, _frame: FrameType | None) -> None:
    """End as on an exception, so that every process that was started is ended, too."""
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    # The processes that are measured find the package wherever the command was given.
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
    main()
