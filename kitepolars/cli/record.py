"""``kitepolars record``: record ticks into a folder, and control a recorder that runs."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from kitepolars import Instruments, Limits, Mode
from kitepolars.calendar import in_india
from kitepolars.days.manifest import table_path
from kitepolars.errors import ConfigError
from kitepolars.recorder.control import Recorder
from kitepolars.recorder.places import require_posix
from kitepolars.recorder.process import become
from kitepolars.recorder.request import Request
from kitepolars.rest import credentials_from_env
from kitepolars.secret import Secret
from kitepolars.wire.control import KITE_URL

HELP: Final = "record ticks into a folder, or control a recorder that runs"

MOST: Final = Limits().connections * Limits().instruments_per_connection

CONTROL: Final = "ctl"
"""The first word of a command to a recorder that runs."""

EPILOG: Final = """\
The account is that of KITE_API_KEY and KITE_ACCESS_TOKEN, in the environment or in a .env file.
The exit code is 77 when Kite refuses it. On Windows this needs WSL.

A recorder that runs is controlled with

  kitepolars record ctl status --out FOLDER
  kitepolars record ctl subscribe NAME … --out FOLDER [--mode MODE]
  kitepolars record ctl unsubscribe NAME … --out FOLDER
  kitepolars record ctl publish TABLE --out FOLDER
  kitepolars record ctl token --out FOLDER    (asks for the access token, or reads it from a pipe)
  kitepolars record ctl stop --out FOLDER
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``record``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as NSE:INFY, or a token")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the recording")
    parser.add_argument("--watchlist", type=Path, metavar="FILE", help="names, one a line")
    parser.add_argument(
        "--all",
        metavar="EXCHANGE",
        help=f"an exchange such as NFO: the {MOST:,} instruments that expire first",
    )
    parser.add_argument(
        "--mode",
        type=Mode,
        choices=list(Mode),
        default=Mode.FULL,
        help="how much is recorded (default: full)",
    )
    parser.add_argument(
        "--instruments", metavar="FILE", help="the instruments dump, instead of Kite's of today"
    )
    parser.add_argument(
        "--publish",
        metavar="TABLE",
        help="publish meanwhile: to a folder, or an s3:// URL (see kitepolars publish)",
    )
    parser.add_argument("--url", default=KITE_URL, help=f"the server (default: {KITE_URL})")


def run(arguments: argparse.Namespace) -> int:
    """Become a recorder, or control one."""
    require_posix()
    if arguments.names[:1] == [CONTROL]:
        return _control(arguments)
    account = credentials_from_env()
    instruments = _instruments(arguments)
    tokens = _chosen(arguments, instruments)
    if not tokens:
        none = "no instruments are given: name them, or use --watchlist or --all"
        raise ConfigError("instruments", [], message=none)
    print(f"recording {len(tokens):,} instruments into {arguments.out}; Ctrl-C ends it", flush=True)
    request = Request(
        url=arguments.url,
        subscriptions=dict.fromkeys(tokens, arguments.mode),
        listing=instruments.to_csv(),
        publish="" if arguments.publish is None else table_path(arguments.publish),
    )
    become(arguments.out, [account], request)
    return 1  # not reached: this process is the recorder now


def _instruments(arguments: argparse.Namespace) -> Instruments:
    if arguments.instruments is not None:
        return Instruments.read_csv(arguments.instruments)
    return Instruments.fetch()


def _chosen(arguments: argparse.Namespace, instruments: Instruments) -> list[int]:
    """Return the tokens of everything that was asked for, each once."""
    names = list(arguments.names)
    if arguments.watchlist is not None:
        lines = arguments.watchlist.read_text("utf-8").splitlines()
        names += [name for line in lines if (name := line.partition("#")[0].strip())]
    tokens = _tokens(names, instruments)
    if arguments.all is not None:
        tokens += _exchange(arguments.all, instruments, MOST - len(tokens))
    return list(dict.fromkeys(tokens))


def _exchange(exchange: str, instruments: Instruments, most: int) -> list[int]:
    listed = instruments.frame.filter(pl.col("exchange").cast(pl.String) == exchange.upper())
    if listed.is_empty():
        known = instruments.frame["exchange"].cast(pl.String).unique().sort().to_list()
        raise ConfigError("all", exchange, f"one of {', '.join(known)}")
    if len(listed) > most:
        print(f"{exchange} lists {len(listed):,}: the {most:,} that expire first", file=sys.stderr)
    first = listed.sort("expiry", nulls_last=True, maintain_order=True).head(most)
    tokens: list[int] = first["instrument_token"].to_list()
    return tokens


def _tokens(names: Sequence[str], instruments: Instruments) -> list[int]:
    return instruments.tokens([int(name) if name.isdecimal() else name for name in names])


# -- a recorder that runs ----------------------------------------------------------------------


def _control(arguments: argparse.Namespace) -> int:
    words: list[str] = arguments.names
    action = "".join(words[1:2])
    if action not in _CONTROL_ACTIONS:
        raise ConfigError(CONTROL, action, f"one of {', '.join(_CONTROL_ACTIONS)}")
    arguments.names = words[2:]
    if action == "publish" and len(arguments.names) != 1:
        raise ConfigError("publish", " ".join(arguments.names), "one table: a folder or a URL")
    _CONTROL_ACTIONS[action](Recorder(arguments.out), arguments)
    return 0


def _status(recorder: Recorder, _: argparse.Namespace) -> None:
    status = recorder.ask("status")
    for event in status.pop("events"):
        at = in_india(event["at"])
        print(f"{at:%H:%M:%S}  {event['kind']}: {event['detail']}")
    status["accounts"] = ", ".join(status["accounts"])
    status["lag"] = f"{status['lag']:.1f} s"
    status["failure"] = status["failure"] or "none"
    status["published"] = _published(status.get("published"))
    for name, value in status.items():
        print(f"{name.replace('_', ' ')}: {value}")


def _published(status: Mapping[str, Any] | None) -> str:
    if status is None:
        return "no"
    until, failure = status["until"], status["failure"]
    at = None if until is None else in_india(until)
    said = f"to {status['table']}, " + ("nothing yet" if at is None else f"until {at:%H:%M:%S}")
    return said if failure is None else f"{said}; not at present: {failure}"


def _subscribe(recorder: Recorder, arguments: argparse.Namespace) -> None:
    tokens = _tokens_for(arguments)
    recorder.ask("subscribe", mode=arguments.mode, tokens=tokens)
    print(f"{len(tokens):,} instruments are subscribed in {arguments.mode} mode")


def _unsubscribe(recorder: Recorder, arguments: argparse.Namespace) -> None:
    tokens = _tokens_for(arguments)
    recorder.ask("unsubscribe", tokens=tokens)
    print(f"{len(tokens):,} instruments are not subscribed any more")


def _publish(recorder: Recorder, arguments: argparse.Namespace) -> None:
    recorder.ask("publish", table=table_path(arguments.names[0]))
    print(f"the recorder publishes to {arguments.names[0]}")


def _token(recorder: Recorder, _: argparse.Namespace) -> None:
    # Not an argument of the command: others can read the arguments of a process.
    recorder.ask("set_access_token", token=_asked_token())
    print("the recorder uses the new access token")


def _asked_token() -> Secret:
    line = getpass.getpass("access token: ") if sys.stdin.isatty() else sys.stdin.readline()
    return Secret(line.strip())


def _stop(recorder: Recorder, _: argparse.Namespace) -> None:
    recorder.ask("stop")
    print("the recorder ends")


def _tokens_for(arguments: argparse.Namespace) -> list[int]:
    """Return the tokens of the names of a command; the dump is loaded for names only."""
    if all(name.isdecimal() for name in arguments.names):
        return [int(name) for name in arguments.names]
    return _tokens(arguments.names, _instruments(arguments))


_CONTROL_ACTIONS: Final[Mapping[str, Callable[[Recorder, argparse.Namespace], None]]] = {
    "status": _status,
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "publish": _publish,
    "token": _token,
    "stop": _stop,
}
