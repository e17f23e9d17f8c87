"""Figures of SciPy and statsmodels, against which `reports/src/stats/scaling.rs` is tested.

    pip install scipy==1.17.1 statsmodels==0.15.0
    python3 reports/oracle/scaling.py > reports/oracle/scaling.json
"""

import json
import sys

import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm
from scipy import optimize, stats

random = np.random.default_rng(20261130)
MISS = 0.05
ASKED = (40.0, 500.0, 708.0, 2000.0)


def half(residuals, sizes, parameters, share):
    """The wider of two intervals: from all runs, and from the means of the sizes."""
    free = len(residuals) - parameters
    of_runs = stats.t.ppf(1 - MISS / 2, free) * np.sqrt(np.sum(residuals**2) / free * share)
    means = [(np.sum(sizes == size), residuals[sizes == size].mean()) for size in np.unique(sizes)]
    free = len(means) - parameters
    between = sum(count * mean**2 for count, mean in means) / free
    return max(of_runs, stats.t.ppf(1 - MISS / 2, free) * np.sqrt(between * share))


def law(sizes, values, growth, fixed):
    """`fixed` are the parameters on their boundary: the test checks that the same ones are found."""
    names = [name for name in ("sigma", "kappa") if name not in fixed]

    def slowed(size, free):
        """What contention and coherency add to 1, by which the law divides."""
        given = dict(fixed, **dict(zip(names, free)))
        return given["sigma"] * (size - 1), given["kappa"] * size * (size - 1)

    def log(size, log_lambda, *free):
        contention, coherency = slowed(size, free)
        return log_lambda + np.log(size) - np.log1p(contention + coherency)

    logs = np.log(sizes / values if growth == "time" else values)
    scale = [1.0] + [{"sigma": 1e-2, "kappa": 1e-5}[name] for name in names]
    start = [logs[0] - np.log(sizes[0])] + scale[1:]
    low, high = [-np.inf] + [0.0] * len(names), [np.inf] + [{"sigma": 1.0, "kappa": np.inf}[name] for name in names]
    found = optimize.least_squares(
        lambda p: log(sizes, *p) - logs, start, bounds=(low, high), x_scale=scale, xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=10000
    )

    def slopes(size):
        contention, coherency = slowed(size, found.x[1:])
        divided = 1 + contention + coherency
        all_of = {"sigma": -(size - 1) / divided, "kappa": -size * (size - 1) / divided}
        return np.array([1.0] + [all_of[name] for name in names])

    rows = np.array([slopes(size) for size in sizes])
    inverse = np.linalg.inv(rows.T @ rows)
    residuals = logs - log(sizes, *found.x)
    predicted = []
    for size in ASKED:
        middle, way = log(size, *found.x), slopes(size)
        wide = half(residuals, sizes, len(found.x), 1 + way @ inverse @ way)
        ends = [np.exp(middle - wide), np.exp(middle), np.exp(middle + wide)]
        if growth == "time":
            ends = [size / end for end in reversed(ends)]
        predicted.append([size, *map(float, ends)])
    given = dict(fixed, **dict(zip(names, found.x[1:])))
    return {
        "growth": growth,
        "runs": [list(run) for run in zip(sizes.tolist(), values.tolist())],
        "lambda": float(np.exp(found.x[0])),
        "sigma": float(given["sigma"]),
        "kappa": float(given["kappa"]),
        "fixed": sorted(fixed),
        "sigma_half": float(half(residuals, sizes, len(found.x), inverse[1][1])) if "sigma" in names else None,
        "predicted": predicted,
    }


def line(sizes, values):
    rows = np.column_stack([np.ones(len(sizes)), sizes])
    found = sm.WLS(values, rows, weights=1 / sizes**2).fit()
    shares = values / sizes - (found.params[0] / sizes + found.params[1])
    covariance = found.cov_params() / found.mse_resid
    predicted = []
    for size in ASKED:
        way = np.array([1.0, size])
        middle = way @ found.params
        wide = half(shares, sizes, 2, 1 + way @ covariance @ way / size**2) * size
        predicted.append([size, max(0.0, middle - wide), float(middle), float(middle + wide)])
    return {
        "runs": [list(run) for run in zip(sizes.tolist(), values.tolist())],
        "each": float(found.params[1]),
        "any": float(found.params[0]),
        "predicted": predicted,
    }


def usl(size, one, sigma, kappa):
    return one * size / (1 + sigma * (size - 1) + kappa * size * (size - 1))


SIZES = np.repeat([100.0, 180.0, 260.0, 340.0, 420.0, 500.0], 3)
SMALL = np.repeat([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0], 4)


def noisy(values, spread):
    return values * np.exp(random.normal(0, spread, len(values)))


print(f"scipy {scipy.__version__}, statsmodels {statsmodels.__version__}", file=sys.stderr)
json.dump(
    {
        "laws": [
            law(SMALL, noisy(usl(SMALL, 950.0, 0.03, 1e-4), 0.02), "throughput", {}),
            law(SIZES, noisy(usl(SIZES, 40.0, 0.02, 3e-5), 0.01), "throughput", {}),
            law(SIZES, noisy(SIZES / usl(SIZES, 3e4, 0.01, 2e-5), 0.01), "time", {}),
            law(SIZES, noisy(usl(SIZES, 40.0, 0.02, 0.0) * (1 + SIZES / 9000), 0.003), "throughput", {"kappa": 0.0}),
            law(SIZES, noisy(np.full(len(SIZES), 5e-3), 0.01) / SIZES**0.05, "time", {"sigma": 0.0, "kappa": 0.0}),
        ],
        "lines": [
            line(SIZES, noisy(3e6 + 9e4 * SIZES, 0.01)),
            line(SIZES, noisy(3e6 + 9e4 * SIZES, 0.001) * (1 + SIZES / 5e4)),
        ],
    },
    sys.stdout,
    indent=1,
)
print()
