"""Figures of other people's statistics, against which comparisons in `reports/src/stats` are tested.

    pip install scipy==1.17.1 statsmodels==0.15.0
    python3 reports/oracle/compare.py > reports/oracle/compare.json
"""

import json
import sys

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.multitest import multipletests

random = np.random.default_rng(20261130)
MISS = 0.05


def ends(differences, chance):
    """The differences at which the one-sided tests begin to doubt."""
    steps = np.sort(differences)
    gap = np.min(np.diff(steps)) / 2
    low = max((d for d in steps if chance(d - gap, "greater") <= MISS), default=None)
    high = min((d for d in steps if chance(d + gap, "less") <= MISS), default=None)
    return low, high


def ranks(n, m, shift):
    a, b = random.normal(0, 0.05, n), random.normal(shift, 0.05, m)
    differences = np.subtract.outer(b, a).ravel()

    def chance(limit, side):
        return stats.mannwhitneyu(b - limit, a, alternative=side, method="exact").pvalue

    low, high = ends(differences, chance)
    return {
        "first": a.tolist(),
        "second": b.tolist(),
        "estimate": float(np.median(differences)),
        "low": low,
        "high": high,
        "chances": [[limit, chance(limit, "greater"), chance(limit, "less")] for limit in (0.0, 0.0953, 0.2)],
    }


def paired_ranks(n, shift):
    a = random.normal(0, 0.2, n)
    b = a + random.normal(shift, 0.05, n)
    d = b - a
    walsh = np.array([(d[i] + d[j]) / 2 for i in range(n) for j in range(i, n)])

    def chance(limit, side):
        return stats.wilcoxon(d - limit, alternative=side, method="exact").pvalue

    low, high = ends(walsh, chance)
    return {
        "first": a.tolist(),
        "second": b.tolist(),
        "estimate": float(np.median(walsh)),
        "low": low,
        "high": high,
        "chances": [[limit, chance(limit, "greater"), chance(limit, "less")] for limit in (0.0, 0.0953, 0.2)],
    }


def means(n, m, shift):
    a, b = random.normal(0, 0.05, n), random.normal(shift, 0.1, m)
    interval = stats.ttest_ind(b, a, equal_var=False).confidence_interval(1 - 2 * MISS)

    def chance(limit, side):
        return stats.ttest_ind(b - limit, a, equal_var=False, alternative=side).pvalue

    return {
        "first": a.tolist(),
        "second": b.tolist(),
        "estimate": float(b.mean() - a.mean()),
        "low": float(interval.low),
        "high": float(interval.high),
        "chances": [[limit, chance(limit, "greater"), chance(limit, "less")] for limit in (0.0, 0.0953, 0.2)],
    }


def paired_means(n, shift):
    a = random.normal(0, 0.2, n)
    b = a + random.normal(shift, 0.05, n)
    interval = stats.ttest_rel(b, a).confidence_interval(1 - 2 * MISS)

    def chance(limit, side):
        return stats.ttest_rel(b - limit, a, alternative=side).pvalue

    return {
        "first": a.tolist(),
        "second": b.tolist(),
        "estimate": float((b - a).mean()),
        "low": float(interval.low),
        "high": float(interval.high),
        "chances": [[limit, chance(limit, "greater"), chance(limit, "less")] for limit in (0.0, 0.0953, 0.2)],
    }


def higher(first, second):
    """All divisions of the values into two sides."""
    found = stats.permutation_test(
        (np.array(second, float), np.array(first, float)),
        lambda x, y: stats.rankdata(np.concatenate([x, y]))[: len(x)].sum(),
        n_resamples=np.inf,
        alternative="greater",
    )
    return {"first": first, "second": second, "chance": float(found.pvalue)}


def fisher(first, second):
    table = [[sum(second), len(second) - sum(second)], [sum(first), len(first) - sum(first)]]
    chance = stats.fisher_exact(table, alternative="greater").pvalue
    return {"first": first, "second": second, "chance": float(chance)}


def correlation(a, b):
    return {"pairs": [list(pair) for pair in zip(a, b)], "correlation": float(stats.spearmanr(a, b).statistic)}


def change(values):
    values = np.array(values)
    n = len(values)
    splits = range(3, n - 2)
    found = [stats.ttest_ind(values[at:], values[:at], equal_var=True) for at in splits]
    best = int(np.argmax([abs(f.statistic) for f in found]))
    at = splits[best]
    return {
        "values": values.tolist(),
        "at": at,
        "by": float(values[at:].mean() - values[:at].mean()),
        "chance": float(min(1.0, found[best].pvalue * len(splits))),
    }


def counted_change(values):
    """Of a series of few steps: those that differ from the most common value, upwards and downwards, by Fisher's exact test at each place."""
    values = np.array(values)
    n = len(values)
    splits = range(3, n - 2)
    kinds, times = np.unique(values, return_counts=True)
    most = kinds[np.argmax(times)]
    asked = [differ for differ in (values > most, values < most) if differ.any()]

    def chance(at):
        found = []
        for differ in asked:
            table = [[differ[at:].sum(), (~differ[at:]).sum()], [differ[:at].sum(), (~differ[:at]).sum()]]
            ends = [stats.fisher_exact(table, alternative=side).pvalue for side in ("greater", "less")]
            found.append(min(1.0, 2 * min(ends)))
        return min(1.0, min(found) * len(asked))

    chances = [chance(at) for at in splits]
    best = int(np.argmin(chances))
    at = splits[best]
    return {
        "values": values.tolist(),
        "at": at,
        "by": float(values[at:].mean() - values[:at].mean()),
        "chance": float(min(1.0, chances[best] * len(splits))),
    }


chances = [0.001, 0.04, 0.03, 0.2, 0.008, 0.9]
print(f"scipy {scipy.__version__}, statsmodels {statsmodels.__version__}", file=sys.stderr)
json.dump(
    {
        "ranks": [ranks(6, 6, 0.1), ranks(10, 10, 0.0), ranks(8, 12, 0.25), ranks(20, 20, 0.14)],
        "paired_ranks": [paired_ranks(9, 0.1), paired_ranks(12, 0.0), paired_ranks(20, 0.15)],
        "means": [means(2, 3, 0.3), means(3, 3, 0.0), means(5, 4, 0.15)],
        "paired_means": [paired_means(2, 0.1), paired_means(4, 0.25)],
        "higher": [
            higher([0, 0, 0, 0, 1], [0, 2, 0, 5, 3]),
            higher([0, 0, 0, 0, 0, 0], [0, 0, 7, 0, 0, 9]),
            higher([3, 1, 4, 1, 5], [9, 2, 6, 5, 3]),
            fisher([0] * 10, [0] * 7 + [1] * 3),
            fisher([0] * 5 + [1], [0] + [1] * 5),
        ],
        "correlations": [
            correlation([1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 3.0, 9.0]),
            correlation([1.0, 1.0, 2.0, 3.0], [5.0, 4.0, 4.0, 0.0]),
        ],
        "changes": [
            change(np.concatenate([random.normal(0, 0.05, 13), random.normal(0.1, 0.05, 7)])),
            change(random.normal(0, 0.05, 20)),
            change(random.normal(0, 0.05, 6)),
        ],
        "counted_changes": [
            counted_change([12.0] * 7 + [13.0] * 3),
            counted_change([12.0] * 10 + [13.0] * 10),
            counted_change([0.0] * 9 + [2.0, 0.0, 0.0] + [3.0, 5.0, 2.0, 0.0, 4.0, 0.0, 0.0, 0.0]),
            counted_change([5.0] * 4 + [4.0] * 3 + [5.0] * 6 + [6.0] * 5),
        ],
        "holm": {"chances": chances, "adjusted": multipletests(chances, method="holm")[1].tolist()},
    },
    sys.stdout,
    indent=1,
)
print()
