# %% [markdown]
# # How do I log in each morning, and only once?
#
# *Basic · 2 seconds · account*
#
# Uses: `login_url`, `generate_session`, `Session`, `Session.account`, `Session.expires_at`,
# `Account`, `Ticker`, `Ticker.start`, `Ticker.stop`
#
# Kite's access token is valid until about 06:00 the next morning. This script logs in if today's
# token is not on disk yet, and starts a ticker with it. It needs `KITE_API_KEY` and
# `KITE_API_SECRET` in the environment, and the extra `http`.

# %%
import datetime as dt
import json
import os
import time
from pathlib import Path

import kitepolars as kp

FILE = Path(".kite-session.json")
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))


def log_in(api_key: str) -> kp.Session:
    """Ask for the address to which Kite sends the browser after a login."""
    print("Open this address, log in, and copy the address that you are sent to:")
    print(kp.login_url(api_key))
    pasted = os.environ.get("KITE_REDIRECTED_TO") or input("> ")  # a whole URL or the bare token
    return kp.generate_session(api_key, os.environ["KITE_API_SECRET"], pasted)


# %% [markdown]
# The token goes into a file that only you can read, with the time at which it expires. A `Secret`
# is hidden in every `repr`, log and traceback; only `reveal()` returns its text.


# %%
def save(session: kp.Session) -> None:
    """Keep the session's token until it expires."""
    document = {
        "user_id": session.user_id,
        "access_token": session.access_token.reveal(),
        "expires_at": session.expires_at.isoformat(),
    }
    FILE.touch(mode=0o600)
    FILE.write_text(json.dumps(document))


def account_of_today(api_key: str) -> kp.Account:
    """Return the account with today's token, logging in only if there is none."""
    if FILE.exists():
        document = json.loads(FILE.read_text())
        if dt.datetime.fromisoformat(document["expires_at"]) > dt.datetime.now(IST):
            return kp.Account(document["user_id"], api_key, document["access_token"])
    session = log_in(api_key)
    save(session)
    print(f"logged in as {session.user_id}, valid until {session.expires_at:%d %b %H:%M} IST")
    return session.account()


# %% [markdown]
# The second call reads the file and sends no request.

# %%
api_key = os.environ["KITE_API_KEY"]
account = account_of_today(api_key)
again = account_of_today(api_key)
assert again == account
print(account)

ticker = kp.Ticker(accounts=[account]).start()
time.sleep(0.5)
print(ticker)
assert ticker.is_running
ticker.stop()
FILE.unlink()  # only so that this example leaves nothing behind
