"""A table of text that fits a terminal: narrower names first, then shorter values, then two lines a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snnlab.sweeps.results.values import printable

GAP = 2
NARROW = 6
"""Characters of a value that has to be shortened, at least."""
LONGEST = 60
"""Characters of a value that has all the room it wants."""


@dataclass(frozen=True)
class Column:
    """A column and its cells.

    Args:
        name: its head.
        cells: one text a row.
        right: whether it is aligned at the right, as numbers are.
        elastic: whether its cells may be shortened.
    """

    name: str
    cells: tuple[str, ...]
    right: bool = False
    elastic: bool = False

    @property
    def width(self) -> int:
        """Of the longest cell, the head counted."""
        return max(map(len, (self.name, *self.cells)))


def laid_out(columns: Sequence[Column], width: int) -> tuple[list[str], dict[str, str]]:
    """The lines of a table, the head first, and which heads are short for what.

    Args:
        columns: printable, or made so here.
        width: characters of a line.
    """
    columns = [_printable(column) for column in columns]
    columns = [_shortened(column, LONGEST) if column.elastic else column for column in columns]
    if _total(columns) <= width:
        return _lines(columns), {}
    short = short_names([column.name for column in columns if column.elastic])
    fitting = _fitted([_named(column, short.get(column.name, column.name)) for column in columns], width)
    if fitting is not None:
        return _lines(fitting), {new: old for old, new in short.items() if new != old}
    return _stacked(columns, width), {}


def fits(columns: Sequence[Column], width: int) -> bool:
    """Whether a table has one line a row."""
    return len(laid_out(columns, width)[0]) == 1 + len(columns[0].cells)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """The last words of names with dots, as many as tell them apart: lr for optimizer.lr."""
    short = {}
    for name in names:
        words = name.split(".")
        ends = [".".join(words[start:]) for start in range(len(words) - 1, -1, -1)]
        others = [other for other in names if other != name]
        short[name] = next(
            (end for end in ends if not any(other == end or other.endswith(f".{end}") for other in others)), name
        )
    return short


def elided(text: str, width: int) -> str:
    """A text of at most so many characters: its beginning and its end, which tell folders and lists apart."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


def shortened(texts: Sequence[str], width: int) -> list[str]:
    """Texts of at most so many characters; what all of them share goes first, where they would become equal."""
    different = list(dict.fromkeys(texts))
    short = {text: elided(text, width) for text in different}
    if len(set(short.values())) < len(different):
        rest = zip(different, _without_common_ends(different), strict=True)
        short = {text: elided(part, width) for text, part in rest}
    return [short[text] for text in texts]


def wrapped(words: Sequence[str], width: int, indent: str = "") -> list[str]:
    """Words in lines of bounded width; a word that is too long has a line of its own."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(f"{indent if lines else ''}{word}")
    return lines


def _printable(column: Column) -> Column:
    return Column(printable(column.name), tuple(map(printable, column.cells)), column.right, column.elastic)


def _named(column: Column, name: str) -> Column:
    return Column(name, column.cells, column.right, column.elastic)


def _shortened(column: Column, width: int) -> Column:
    return Column(column.name, tuple(shortened(column.cells, width)), column.right, column.elastic)


def _without_common_ends(cells: Sequence[str]) -> list[str]:
    """Texts without the words at their beginning and end that all of them share."""
    begin = _whole_words(_common(cells))
    rest = [cell[begin:][::-1] for cell in cells]
    end = _whole_words(_common(rest))
    kept = [text[end:][::-1] for text in rest]
    return [f"{'…' * (begin > 0)}{text}{'…' * (end > 0)}" for text in kept]


def _common(texts: Sequence[str]) -> str:
    """The beginning that all of them share."""
    first, last = min(texts), max(texts)
    same = next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return first[:same]


def _whole_words(text: str) -> int:
    """How much of a text is up to the last letter between words, which is kept."""
    return max(0, *(text.rfind(letter) for letter in "/,_=-. ["))


def _total(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def _fitted(columns: Sequence[Column], width: int) -> list[Column] | None:
    """Columns whose longest cells are shortened; None where they would be too short, or no longer tell values apart."""
    fitted = list(columns)
    while _total(fitted) > width:
        elastic = [place for place, column in enumerate(fitted) if column.elastic]
        cells = {place: max(map(len, fitted[place].cells), default=0) for place in elastic}
        elastic = [place for place in elastic if cells[place] == fitted[place].width and cells[place] > NARROW]
        if not elastic:
            return None
        widest = max(elastic, key=cells.__getitem__)
        fitted[widest] = _shortened(columns[widest], cells[widest] - 1)
        if len(set(fitted[widest].cells)) < len(set(columns[widest].cells)):
            return None
    return fitted


def _lines(columns: Sequence[Column]) -> list[str]:
    aligned = []
    for column in columns:
        width = column.width
        align = str.rjust if column.right else str.ljust
        aligned.append([align(cell, width) for cell in (column.name, *column.cells)])
    return [(" " * GAP).join(row).rstrip() for row in zip(*aligned, strict=True)]


def _stacked(columns: Sequence[Column], width: int) -> list[str]:
    """Rows of two parts: the options as name=value, and below them the numbers in columns."""
    numbers = _lines([column for column in columns if not column.elastic])
    options = [column for column in columns if column.elastic]
    lines = [f"    {numbers[0]}"]
    for place, row in enumerate(numbers[1:]):
        pairs = [f"{column.name}={column.cells[place]}" for column in options]
        lines += [*wrapped(pairs, width, "  "), f"    {row}"]
    return lines
