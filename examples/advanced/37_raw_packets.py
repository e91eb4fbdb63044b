# %% [markdown]
# # How do I get at the bytes as Kite sent them?
#
# *Advanced · 2 seconds · simulated*
#
# Uses: `demo`, `Message`, `packets`, `PacketRun`, `Ticker.on_message`, `Ticker.off`,
# `Ticker.frame`
#
# For a recorder or a decoder of your own: whole WebSocket messages, and the packets in them as
# NumPy arrays over the same bytes. Nothing is copied and nothing is scaled: prices are integers,
# times are seconds.

# %%
import threading

import numpy as np

import kitepolars as kp

ticker = kp.demo(instruments=["NSE:INFY", "NSE:NIFTY 50"], rate=10)
messages: list[kp.Message] = []
enough = threading.Event()


@ticker.on_message
def keep(message: kp.Message) -> None:
    """Keep a message."""
    messages.append(message)
    if len(messages) >= 20:
        enough.set()


assert enough.wait(10)
ticker.off(keep)
ticker.stop()
first = messages[0]
print(f"{len(messages)} messages; the first has {len(first.data)} bytes:", first.data[:12].hex(" "))

# %% [markdown]
# ## Packets as arrays
#
# Packets of one kind that follow each other are one structured array, in wire order (big-endian).

# %%
run: kp.PacketRun
for run in kp.packets(first.data):
    fields = run.packets.dtype.names or ()
    print(f"{run.layout.name}: {len(run.packets)} packets with", ", ".join(fields[:6]), "…")

shares = [
    run.packets
    for message in messages
    for run in kp.packets(message.data)
    if run.layout.name == "full"
]
prices = np.concatenate([packet["last_price"] for packet in shares]) / 100
best = np.concatenate([packet["bids"]["price"][:, 0] for packet in shares]) / 100
print("last", prices[:4], "best bid", best[:4])

# %% [markdown]
# The same ticks as the ticker decoded them:

# %%
decoded = ticker.frame().filter(symbol="NSE:INFY")["last_price"].to_numpy()
print("decoded", decoded[-4:])
places = np.flatnonzero(np.isclose(decoded, prices[0]))
assert any(np.allclose(decoded[n : n + len(prices)], prices) for n in places)
assert shares[0].base is not None  # a view over the message, not a copy
assert np.all(best > 0)
