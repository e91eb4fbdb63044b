"""Who may connect to a relay, and where its tokens are not."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from kitepolars.relay import RelayTokens
from kitepolars.relay.tokens import TOKENS
from relay.conftest import closed, until


async def test_a_client_needs_a_token(relaying: Any) -> None:
    async with relaying() as relayed:
        for name, token in (("laptop", "wrong"), ("desktop", relayed.token), ("", "")):
            with pytest.raises(InvalidStatus) as caught:
                async with relayed.client(name, token):
                    pass
            assert caught.value.response.status_code == (403 if name else 400)


async def test_a_revoked_token_disconnects_its_clients_only(relaying: Any) -> None:
    async with relaying() as relayed:
        other = relayed.tokens.add("other").reveal()
        async with relayed.client() as client, relayed.client("other", other) as stays:
            RelayTokens(relayed.tokens.folder).revoke("laptop")  # as another process does
            assert await closed(client) == (1008, "the token was revoked")
            with pytest.raises(InvalidStatus):
                async with relayed.client():
                    pass
            await stays.heartbeat()


async def test_no_token_is_in_what_is_written_anywhere(
    relaying: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG, "kitepolars")
    async with relaying() as relayed:
        async with relayed.client() as client:
            await client.heartbeat()
        with pytest.raises(InvalidStatus):
            async with relayed.client("laptop", relayed.token + "x"):
                pass
        await until(lambda: any("disconnected" in line for line in relayed.events()))
        shown = [repr(relayed.relay), *relayed.events(), caplog.text]
        shown.append((tmp_path / TOKENS).read_text())
        for secret in (relayed.token, "canary5e3d9"):
            assert all(secret not in text for text in shown)
