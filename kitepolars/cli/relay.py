"""``kitepolars relay``: share a recorder's feed with other programs. Main thread, one loop."""

from __future__ import annotations

import argparse
import asyncio
import signal
import ssl
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from kitepolars.calendar import in_india
from kitepolars.errors import ConfigError
from kitepolars.recorder.places import require_posix
from kitepolars.recordings.following import FollowSource
from kitepolars.recordings.replay import ReplaySource
from kitepolars.relay import Relay, RelayTokens
from kitepolars.source import Event, Record, Source

HELP: Final = "share a recorder's feed with your other programs, as a Kite-compatible WebSocket"

RELAY_PORT: Final = 8766

TOKEN: Final = "token"  # noqa: S105 - a word of the command line
"""The first word of a command about tokens."""

EPILOG_RELAY: Final = """\
Clients connect with tokens of the relay's own:

  kitepolars relay token add NAME --out FOLDER [--orders]   (prints the token, once)
  kitepolars relay token list --out FOLDER
  kitepolars relay token revoke NAME --out FOLDER

NAME takes the place of the API key, and the token that of the access token. The relay is for the
account holder's own programs: whether market data may be passed on to others is a matter of the
agreements with the exchange and the broker.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``relay``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG_RELAY
    parser.add_argument("words", nargs="*", metavar="token …", help="manage tokens; see below")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="the recorder's folder"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, default=RELAY_PORT, help=f"TCP port (default: {RELAY_PORT})"
    )
    parser.add_argument(
        "--cert", type=Path, metavar="FILE", help="certificate chain (PEM); needed beyond loopback"
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="its private key (PEM)")
    parser.add_argument(
        "--replay", action="store_true", help="serve what was recorded before, on recorded time"
    )
    parser.add_argument(
        "--speed", type=float, default=1.0, help="of a replay: times as fast (default: 1)"
    )
    parser.add_argument(
        "--orders", action="store_true", help="of token add: with order updates and alerts"
    )


def run(arguments: argparse.Namespace) -> int:
    """Manage tokens, or serve until Ctrl-C."""
    tokens = RelayTokens(arguments.out)
    if arguments.words:
        _manage(tokens, arguments)
        return 0
    if not tokens.list():
        raise ConfigError(
            TOKEN,
            None,
            message="no client has a token yet: kitepolars relay token add NAME --out …",
        )
    require_posix()
    asyncio.run(_serve(tokens, arguments))
    return 0


async def _serve(tokens: RelayTokens, arguments: argparse.Namespace) -> None:
    source = _source(arguments)
    relay = Relay(
        source,
        tokens,
        host=arguments.host,
        port=arguments.port,
        tls=tls_context(arguments.cert, arguments.key),
    )
    source.deliver_to(_EventPrinter())
    ending = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    if not arguments.replay:
        await source.start()  # clients come when today's recording has been read
    try:
        await relay.open()
        if arguments.replay:
            await source.start()
        print(relay.url, flush=True)
        await ending.wait()
    finally:
        await relay.close()
        await source.stop()


def _source(arguments: argparse.Namespace) -> Source:
    if arguments.replay:
        return ReplaySource(arguments.out, speed=arguments.speed)
    return FollowSource(arguments.out, is_alone=True)


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return what to serve with, or None without a certificate.

    Raises
    ------
    ConfigError
        When a file is missing, or is not what it should be.
    """
    if certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            "cert", str(certificate), message=f"{certificate} cannot be served with: {error}"
        ) from None
    return context


class _EventPrinter:
    """A sink that prints events."""

    def take(self, record: Record) -> None:
        if isinstance(record, Event):
            at = in_india(record.at)
            print(f"{at:%H:%M:%S}  {record.kind}: {record.detail}", file=sys.stderr, flush=True)


def _manage(tokens: RelayTokens, arguments: argparse.Namespace) -> None:
    match arguments.words:
        case ["token", action, *names] if action in _TOKEN_ACTIONS:
            _TOKEN_ACTIONS[action](tokens, names, arguments)
        case words:
            raise ConfigError("words", words, f"token and one of {', '.join(_TOKEN_ACTIONS)}")


def _add(tokens: RelayTokens, names: list[str], arguments: argparse.Namespace) -> None:
    token = tokens.add(_one(names), orders=arguments.orders)
    print(token.reveal())


def _list(tokens: RelayTokens, _: list[str], __: argparse.Namespace) -> None:
    for token in tokens.list():
        print(f"{token.name}  {token.created}{'  orders' if token.orders else ''}")


def _revoke(tokens: RelayTokens, names: list[str], _: argparse.Namespace) -> None:
    tokens.revoke(_one(names))
    print(f"{names[0]} is revoked")


def _one(names: list[str]) -> str:
    if len(names) != 1:
        raise ConfigError("name", names, "one name")
    return names[0]


_TOKEN_ACTIONS: Final[
    Mapping[str, Callable[[RelayTokens, list[str], argparse.Namespace], None]]
] = {
    "add": _add,
    "list": _list,
    "revoke": _revoke,
}
