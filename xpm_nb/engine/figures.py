"""Figures of a table: which of them is the best, and what several come to together.

Rule: where a name does not say whether more or less of it is better, nothing is marked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Literal, NamedTuple, TypeAlias

from xpm_nb.errors import ConfigError

Way: TypeAlias = Literal["min", "max"]
Best: TypeAlias = "Way | Mapping[str, Way | None] | Literal[False] | None"
"""What marks the best: one way for all figures, some by name, False for none, None by the names."""

_WORD = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")
_LESS = frozenset(
    _WORD.findall(
        "loss losses error errors err mse rmse mae mape nll bce perplexity ppl time times seconds"
        " secs duration latency elapsed runtime cost costs regret wer cer fid bpc bpd distance"
        " divergence kl mistakes failures violations memory"
    )
)
_MORE = frozenset(
    _WORD.findall(
        "accuracy acc score scores f1 auc auroc auprc reward rewards return returns r2 precision"
        " recall sensitivity specificity map ap iou miou dice bleu rouge ndcg mrr psnr ssim"
        " likelihood success wins throughput speedup correlation"
    )
)
_TURNED = frozenset(["neg", "negative", "minus"])


def better(name: str) -> Way | None:
    """Tell from a figure's name whether less or more of it is better; None if it does not say."""
    words = {word.lower() for word in _WORD.findall(name)}
    less, more = bool(words & _LESS), bool(words & _MORE)
    if less == more:
        return None
    return "min" if less is not bool(words & _TURNED) else "max"


def check_best(best: Any, names: Sequence[str]) -> None:
    """Refuse what does not say which figures are the best.

    Parameters
    ----------
    best : Best
        What a user gave.
    names : sequence of str
        The figures that were asked for; empty if all are.

    Raises
    ------
    ConfigError
        Naming what was wrong.
    """
    ways = list(best.values()) if isinstance(best, Mapping) else [best or None]
    for way in ways:
        if way not in ("min", "max", None):
            raise ConfigError(
                f'best is "min", "max", a dictionary such as {{"loss": "min"}}, or False, '
                f"not {way!r:.60}"
            )
    for name in best if isinstance(best, Mapping) else ():
        if names and name not in names:
            raise ConfigError(f"best: {name!r} is none of the figures {', '.join(names)}")


def way_of(name: str, best: Best) -> Way | None:
    """Say which of a column's figures is the best one."""
    if best is False:
        return None
    if isinstance(best, Mapping):
        return best[name] if name in best else better(name)
    return best or better(name)


def best_rows(values: Sequence[Any], way: Way | None) -> list[int]:
    """Give the numbers of the best of some values; none if all are equal, or only one is there.

    What is no number, and NaN, does not take part.
    """
    numbers = {i: x for i, value in enumerate(values) if (x := _compared(value)) is not None}
    if way is None or len(set(numbers.values())) < 2:
        return []
    top = max(numbers.values()) if way == "max" else min(numbers.values())
    return [i for i, number in numbers.items() if number == top]


def _compared(value: Any) -> float | None:
    number = value.mean if isinstance(value, Spread) else value
    if not is_number(number) or number != number:
        return None
    found: float = number
    return found


class Spread(NamedTuple):
    """What several figures come to."""

    mean: float
    std: float | None  # of a sample (n - 1); None for a single one
    n: int

    def __str__(self) -> str:
        return self.text()

    def text(self, decimals: int | None = None) -> str:
        """Write it as ``0.931 ± 0.012 (3)``: the deviation with two digits that count."""
        if decimals is None:
            decimals = _decimals(self.mean, self.std)
        if decimals is None:
            mean, std = f"{self.mean:.4g}", "" if self.std is None else f"{self.std:.2g}"
        else:
            mean = f"{self.mean:.{decimals}f}"
            std = "" if self.std is None else f"{self.std:.{decimals}f}"
        return f"{mean} ± {std} ({self.n})" if std else f"{mean} ({self.n})"


def _decimals(mean: float, std: float | None) -> int | None:
    """Say how many decimals show two digits of the deviation; None where that reads badly."""
    if not std or not math.isfinite(std) or not math.isfinite(mean) or abs(mean) >= 1e6:
        return None
    exponent = int(f"{std:.1e}".partition("e")[2])  # of the rounded deviation: 0.00999 is 0.010
    decimals = max(0, 1 - exponent)
    return decimals if decimals <= 6 else None


def spread(values: Iterable[Any]) -> Spread | None:
    """Put the numbers among some values together; None if there is none."""
    numbers = [_float(value) for value in values if is_number(value)]
    if not numbers:
        return None
    several, n = len(numbers) > 1, len(numbers)
    try:
        if all(map(math.isfinite, numbers)):
            return Spread(fmean(numbers), stdev(numbers) if several else None, n)
    except OverflowError:
        pass
    return Spread(sum(x / n for x in numbers), math.nan if several else None, n)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # JSON holds integers of any length
        return math.inf if value > 0 else -math.inf


def is_number(value: Any) -> bool:
    """Tell whether a value is one that is read as a number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
