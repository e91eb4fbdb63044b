# %% [markdown]
# # What does my option position lose at −3 % with volatility up five points?
#
# *Advanced · 1 second · no connection*
#
# Uses: `options.price`, `options.greeks`, `options.Greeks`
#
# Scenarios of a short strangle with a hedge. The model works on whole arrays, so a grid of
# scenarios is one call.

# %%
import matplotlib.pyplot as plt
import numpy as np
import polars as pl

from kitepolars import options

FORWARD, YEARS, LOT = 26_000.0, 12 / 365, 75
legs = pl.DataFrame(
    {
        "kind": ["CE", "PE", "PE"],
        "strike": [26_600.0, 25_400.0, 24_900.0],
        "iv": [0.118, 0.137, 0.151],
        "lots": [-4, -3, 2],
    }
)
quantity = legs["lots"].to_numpy() * LOT

# %% [markdown]
# ## Today
#
# `greeks` are per unit of the underlying; times the quantity they are rupees. `theta` is a
# calendar day's, `vega` a percentage point's.

# %%
now: options.Greeks = options.greeks(
    legs["kind"], forward=FORWARD, strike=legs["strike"], years=YEARS, volatility=legs["iv"]
)
print(
    legs.with_columns(
        delta=now.delta * quantity,
        gamma=now.gamma * quantity,
        theta=now.theta * quantity,
        vega=now.vega * quantity,
    )
)
print(f"net: {now.delta @ quantity:,.0f} delta, {now.theta @ quantity:,.0f} rupees a day")

# %% [markdown]
# ## The grid
#
# Rows: the market moves. Columns: volatility moves. A day has passed in all of them.

# %%
moves = np.array([-0.05, -0.03, -0.01, 0.0, 0.01, 0.03, 0.05])
points = np.array([-0.02, 0.0, 0.05])


def worth(move: np.ndarray, point: np.ndarray, years: float) -> np.ndarray:
    """Return the position's value for every move and every change of volatility, in rupees."""
    prices = options.price(
        legs["kind"],
        forward=FORWARD * (1 + move[:, None, None]),
        strike=legs["strike"].to_numpy(),
        years=years,
        volatility=legs["iv"].to_numpy() + point[:, None],
    )
    return np.asarray(prices @ quantity)


zero = np.array([0.0])
profit = worth(moves, points, YEARS - 1 / 365) - worth(zero, zero, YEARS)
grid = pl.DataFrame(profit.round(), schema=[f"vol {100 * point:+.0f}" for point in points])
grid = grid.select(pl.Series("market", [f"{100 * move:+.0f} %" for move in moves]), pl.all())
with pl.Config(thousands_separator=",", tbl_cell_numeric_alignment="RIGHT"):
    print(grid)

figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
for point, line in zip(points, profit.T, strict=True):
    axes.plot(100 * moves, line, label=f"volatility {100 * point:+.0f}")
axes.axhline(0, color="grey", linewidth=0.8)
axes.set(xlabel="market, %", ylabel="rupees")
axes.legend()
figure.savefig("scenarios.png")

loss = profit[1, 2]
print(f"at −3 % and +5 points: {loss:,.0f} rupees")

# %% [markdown]
# For small moves the greeks and the grid agree: a market that moves by a
# thousandth of a percent, and the day that has passed.

# %%
nudge = worth(np.array([1e-5]), zero, YEARS) - worth(zero, zero, YEARS)
assert np.isclose(nudge.item(), now.delta @ quantity * FORWARD * 1e-5, rtol=0.01)
assert np.isclose(profit[3, 1], now.theta @ quantity, rtol=0.05)
assert loss < profit[3, 1]
