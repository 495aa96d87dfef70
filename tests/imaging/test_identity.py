import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.imaging import identity


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("SKEWRAY_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


@given(st.text(min_size=1).filter(str.strip), st.binary(min_size=1, max_size=64), st.binary(min_size=1, max_size=64))
def test_a_pseudonym_has_16_digits_and_depends_on_the_key(name, key, other):
    hashed = identity.pseudonym(key, name)
    assert len(hashed) == 16
    assert set(hashed) <= set("0123456789abcdef")
    assert identity.pseudonym(key, f"  {name} ") == hashed
    assert (identity.pseudonym(other, name) == hashed) == (key == other)


def test_no_id_has_no_pseudonym():
    assert identity.pseudonym(b"k", "  ") == ""


def test_the_key_is_made_once_and_for_its_user_alone(home):
    key = identity.load_key()
    path = home / "skewray" / "key"
    assert identity.load_key() == key == bytes.fromhex(path.read_text())
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_variable_comes_first(home, monkeypatch):
    monkeypatch.setenv("SKEWRAY_KEY", "a phrase that is longer than the sixty-four bytes which a key may have at most")
    key = identity.load_key()
    assert len(key) == 32
    assert not (home / "skewray").exists()


def test_a_key_that_cannot_be_made_names_the_variable(home):
    (home / "skewray").write_text("a file where the folder should be")
    with pytest.raises(PipelineError, match="set the environment variable SKEWRAY_KEY"):
        identity.load_key()


@pytest.mark.parametrize("content", ["", "no hex", "abcd"])
def test_a_damaged_key_is_refused(home, content):
    os.makedirs(home / "skewray")
    (home / "skewray" / "key").write_text(content)
    with pytest.raises(PipelineError, match="skewray/key: the key that hides patient ids cannot be read or made"):
        identity.load_key()
