"""Figures of statsmodels, against which `reports/src/stats/factorial.rs` is tested.

    pip install scipy==1.17.1 statsmodels==0.15.0
    python3 reports/oracle/factorial.py > reports/oracle/factorial.json
"""

import json
import sys

import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm

random = np.random.default_rng(20261201)
MISS = 0.05


def design(factors, rows):
    """Columns of ones, of blocks after the first, and of each product of factors coded as -1/2 and 1/2."""
    blocks = sorted({block for _, block, _ in rows})
    columns = [np.ones(len(rows))]
    columns += [np.array([float(block == other) for _, block, _ in rows]) for other in blocks[1:]]
    for term in range(1, 2**factors):
        column = np.ones(len(rows))
        for factor in range(factors):
            if term >> factor & 1:
                column = column * np.array([(cell >> factor & 1) - 0.5 for cell, _, _ in rows])
        columns.append(column)
    return np.column_stack(columns)


def fitted(factors, blocks, effects, spread, missing):
    """`effects` by term; `missing` are pairs of cell and block that have no value."""
    rows = []
    for block in range(blocks):
        drift = random.normal(0, 0.3)
        for cell in range(2**factors):
            value = 1.0 + drift + random.normal(0, spread)
            for term, effect in effects.items():
                product = effect
                for factor in range(factors):
                    if term >> factor & 1:
                        product *= (cell >> factor & 1) - 0.5
                value += product
            if (cell, block) not in missing:
                rows.append((cell, block, float(value)))
    found = sm.OLS(np.array([value for _, _, value in rows]), design(factors, rows)).fit()
    first = found.params.size - (2**factors - 1)
    intervals = found.conf_int(MISS)
    return {
        "factors": factors,
        "rows": rows,
        "freedom": float(found.df_resid),
        "terms": [
            {
                "factors": term,
                "estimate": float(found.params[first + term - 1]),
                "error": float(found.bse[first + term - 1]),
                "low": float(intervals[first + term - 1][0]),
                "high": float(intervals[first + term - 1][1]),
                "chance": float(found.pvalues[first + term - 1]),
            }
            for term in range(1, 2**factors)
        ],
    }


print(f"scipy {scipy.__version__}, statsmodels {statsmodels.__version__}", file=sys.stderr)
json.dump(
    [
        fitted(1, 4, {1: 0.2}, 0.05, set()),
        fitted(2, 2, {1: -0.7, 3: 0.3}, 0.05, set()),
        fitted(3, 3, {1: -0.5, 2: 0.1, 7: 0.2}, 0.08, set()),
        fitted(2, 4, {1: 0.4, 2: -0.1}, 0.05, {(0, 0), (3, 2), (1, 2)}),
        fitted(3, 3, {4: 0.6, 5: -0.4}, 0.02, {(6, 1), (0, 0)}),
    ],
    sys.stdout,
    indent=1,
)
print()
