"""Figures of other people's statistics, against which `reports/src/stats` is tested.

    pip install scipy==1.17.1 statsmodels==0.15.0
    python3 reports/oracle/stats.py > reports/oracle/stats.json

Every series is written out in full, so that the tests need neither Python nor the same random numbers.
"""

import json
import sys

import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm
from scipy import stats
from scipy.linalg import toeplitz

random = np.random.default_rng(20261129)


def series(n, hours, dependence, slope):
    noise = np.empty(n)
    noise[0] = random.normal()
    for i in range(1, n):
        noise[i] = dependence * noise[i - 1] + np.sqrt(1 - dependence**2) * random.normal()
    times = (np.arange(n) + 0.5) * hours / n
    return times, 100 + slope * times + noise


def line(n, hours, dependence, slope):
    times, values = series(n, hours, dependence, slope)
    # Generalised least squares with the covariance of an AR(1) process is what Prais and Winsten transform to.
    fit = sm.GLS(values, sm.add_constant(times), sigma=toeplitz(dependence ** np.arange(n))).fit()
    return {
        "times": times.tolist(),
        "values": values.tolist(),
        "dependence": dependence,
        "least_squares": stats.linregress(times, values).slope,
        "theil_sen": stats.theilslopes(values, times).slope,
        "generalised": [fit.params[1], fit.bse[1]],
    }


def share(part, whole, miss):
    found = stats.binomtest(part, whole).proportion_ci(1 - miss, method="exact")
    return {"part": part, "whole": whole, "miss": miss, "low": found.low, "high": found.high}


def ranks(count, quantile, miss):
    """The order statistics that a quantile lies between, from the binomial distribution alone."""
    below = stats.binom(count, quantile)
    low = [r for r in range(1, count + 1) if below.cdf(r - 1) <= miss / 2]
    high = [r for r in range(1, count + 1) if below.sf(r - 1) <= miss / 2]
    return {
        "count": count,
        "quantile": quantile,
        "miss": miss,
        "low": max(low, default=None),
        "high": min(high, default=None),
    }


shares = [(0, 20), (19, 20), (20, 20), (1, 1000), (500, 1000), (999, 1000), (59999, 60000), (0, 1)]
print(f"scipy {scipy.__version__}, statsmodels {statsmodels.__version__}", file=sys.stderr)
json.dump(
    {
        "shares": [share(part, whole, miss) for part, whole in shares for miss in (0.05, 0.1, 0.001)],
        "ranks": [
            ranks(count, quantile, miss)
            for count in (20, 59, 120, 298, 299, 1000, 5000)
            for quantile in (0.5, 0.9, 0.95, 0.99)
            for miss in (0.05, 0.1)
        ],
        "students_t": [
            {"freedom": freedom, "miss": miss, "quantile": stats.t.ppf(1 - miss / 2, freedom)}
            for freedom in (3, 4, 7.5, 30, 1000)
            for miss in (0.05, 0.1, 0.001)
        ],
        "lines": [line(24, 8, 0.0, 1.0), line(96, 8, 0.8, 0.0), line(96, 8, 0.9, -2.0), line(48, 24, 0.5, 0.1)],
    },
    sys.stdout,
    indent=1,
)
print()
