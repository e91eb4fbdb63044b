"""What must not be shown is not shown."""

from __future__ import annotations

import copy
import pickle
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kitepolars.secret import Secret, as_secret, redacted

TOKEN = "s3cr3t/t0ken+==&?#"


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format])
def test_a_secret_shows_nothing(show: object) -> None:
    assert callable(show)
    assert "s3cr3t" not in show(Secret(TOKEN))


def test_a_secret_is_not_pickled_and_copies_are_itself() -> None:
    secret = Secret(TOKEN)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(secret)
    assert copy.deepcopy(secret) is copy.copy(secret) is as_secret(secret) is secret
    assert as_secret(TOKEN) == secret


def test_a_secret_takes_a_format_like_a_text() -> None:
    assert f"{Secret(TOKEN):>3}" == "  …"


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def spellings(char: str) -> st.SearchStrategy[str]:
    """Return the ways in which JSON, or JSON within JSON, or a URL may spell a character."""
    units = char.encode("utf-16-be").hex()
    in_json = "".join(f"\\u{units[n : n + 4]}" for n in range(0, len(units), 4))
    ways = [char, in_json, in_json.replace("\\", "\\\\"), in_json.upper().replace("U", "u")]
    if char in '/"\\':
        ways += [f"\\{char}", f"\\\\\\{char}"]
    ways += [quote(char, safe=""), quote(char, safe="").lower()]
    return st.sampled_from(ways)


@given(st.data())
def test_no_spelling_of_the_token_is_left(data: st.DataObject) -> None:
    token = data.draw(st.text('abc/"+=&\\é𝄞', min_size=4, max_size=12), label="token")
    spelt = "".join(data.draw(spellings(char)) for char in token)
    before, after = (data.draw(st.text("xyz\\/é ")) for _ in range(2))
    assert redacted(f"{before}<{spelt}>{after}", token) == f"{before}<…>{after}"


@given(st.text())
def test_a_text_without_credentials_stays_as_it_is(text: str) -> None:
    assert redacted(text, TOKEN) == text
