"""Settings: where they come from, and the sentence that stops start-up when one is wrong."""

from __future__ import annotations

import string
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hereabouts.config import FIELDS, Config, load
from hereabouts.errors import SettingError


def refusal(tmp_path: Path, text: str = "", **environ: str) -> str:
    """The sentence with which these settings are refused."""
    (tmp_path / "hereabouts.toml").write_text(text)
    with pytest.raises(SettingError) as error:
        load({f"HEREABOUTS_{name.upper()}": value for name, value in environ.items()}, tmp_path)
    return str(error.value)


def test_defaults(tmp_path: Path) -> None:
    config = load({}, tmp_path)
    assert (config.domain, config.host, config.https_port) == ("localhost", "localhost", 8443)
    assert config.data_dir == tmp_path / "var"
    assert config.run_dir.parent == Path("/run/hereabouts")
    assert config.sources == {}
    assert config.local
    assert config.site == "localhost:8443"


def test_environment_over_file_over_default(tmp_path: Path) -> None:
    (tmp_path / "hereabouts.toml").write_text('domain = "Sites.Example.org."\nhttp_port = 80\nlisten = ["0.0.0.0"]\n')
    config = load({"HEREABOUTS_HTTP_PORT": "81", "PATH": "/bin", "HEREABOUTS_START_SECONDS": "1.5"}, tmp_path)
    assert (config.domain, config.http_port, config.listen, config.start_seconds) == (
        "sites.example.org", 81, ("0.0.0.0",), 1.5,
    )  # fmt: skip
    file = str(tmp_path / "hereabouts.toml")
    assert config.sources == {
        "domain": file, "listen": file, "http_port": "environment", "start_seconds": "environment",
    }  # fmt: skip
    assert not config.local


def test_a_named_file_and_its_directory(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "mine.toml"
    other.parent.mkdir()
    other.write_text('data_dir = "data"\n')
    config = load({"HEREABOUTS_CONFIG": str(other)}, tmp_path)
    assert config.data_dir == other.parent / "data"


def test_a_relative_run_dir_is_relative_to_the_file() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # short, as a unix socket's path must be
        (Path(name) / "mine.toml").write_text('run_dir = "run"\n')
        assert load({"HEREABOUTS_CONFIG": f"{name}/mine.toml"}).run_dir == Path(name) / "run"


def test_relative_files_are_relative_to_the_settings_file(tmp_path: Path) -> None:
    names = ("wildcard_certificate", "wildcard_key", "acme_trust", "acme_eab_key_file")
    (tmp_path / "file.pem").touch()
    (tmp_path / "deep").mkdir()
    lines = [*(f'{name} = "../file.pem"' for name in names), 'acme_eab_key_id = "1"', 'data_dir = "data"']
    (tmp_path / "deep" / "mine.toml").write_text("\n".join(lines))
    config = load({"HEREABOUTS_CONFIG": str(tmp_path / "deep" / "mine.toml")})
    assert {getattr(config, name) for name in names} == {str(tmp_path / "file.pem")}


def test_lists_from_the_environment(tmp_path: Path) -> None:
    assert load({"HEREABOUTS_LISTEN": "0.0.0.0, ::1"}, tmp_path).listen == ("0.0.0.0", "::1")
    assert load({"HEREABOUTS_LISTEN": ""}, tmp_path).listen == ()


def test_two_data_directories_are_two_platforms(tmp_path: Path) -> None:
    one, two = (load({"HEREABOUTS_DATA_DIR": str(tmp_path / name)}) for name in ("one", "two"))
    assert one.run_dir != two.run_dir
    assert one.tag != two.tag
    assert one.subnet.prefixlen == two.subnet.prefixlen == 20


@pytest.mark.parametrize(
    ("port", "https", "url"),
    [(443, True, "https://a.org/"), (80, False, "http://a.org/"), (8443, True, "https://a.org:8443/")],
)
def test_site_url(port: int, https: bool, url: str) -> None:
    config = Config(https_port=port, http_port=80) if https else Config(http_port=port)
    assert config.site_url("a.org", https=https) == url


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('network = "fd00::/20"', ["network", "Expected 4 octets", "10.213.0.0/20"]),
        ('domain = "a;b"', ["'a;b' is not a domain name"]),
        ('domain = "bücher.example"', ["is not a domain name"]),
        ('api_host = "a b"', ["api_host", "'a b' is not a host name"]),
        ('database = "postgresql://["', ["database", "not a whole address"]),
        ('database = "postgresql://host:many/name"', ["not a whole address"]),
        ('database = "postgresql://host"', ["not a whole address"]),
        ('domian = "a.org"', ["domian", "there is no such setting", "Did you mean domain?"]),
        ("zzzzzz = 1", ["there is no such setting", "`hereabouts config` lists the settings"]),
        ("http_port = 0", ["http_port", "0 is out of range", "from 1 to 65535"]),
        ('http_port = "many"', ["'many'", "a whole number"]),
        ("http_port = true", ["True", "a whole number"]),
        ("http_port = 1.5", ["1.5", "a whole number"]),
        ("http_port = 8443", ["https_port", "8443 is also http_port", "two different ports"]),
        ("start_seconds = 'soon'", ["'soon'", "a number"]),
        ("start_seconds = nan", ["nan is out of range", "from 1 to 3600"]),
        ("drain_seconds = inf", ["inf is out of range"]),
        ("domain = 5", ["5", "a text"]),
        ('domain = ""', ["domain", "is not a domain name", "such as sites.example.org"]),
        ('domain = "a b"', ["'a b' is not a domain name"]),
        ('domain = "*.example.org"', ["is not a domain name"]),
        ('api_host = "api.example.org"', ["contains 'api'", "such as www.localhost"]),
        ('domain = "apis.example.org"', ["contains 'api'"]),
        ('listen = ["here"]', ["'here' is not an IP address", '["0.0.0.0"]']),
        ("listen = 1", ["a list of texts"]),
        ("listen = [1]", ["a list of texts"]),
        ('network = "10.0.0.0/28"', ["too small", "/24 or larger"]),
        ('network = "10.0.0.1/16"', ["host bits set", "10.213.0.0/20"]),
        ('blocked_networks = ["everything"]', ["blocked_networks", "'everything'"]),
        ('run_dir = "/' + "r" * 80 + '"', ["run_dir", "too long by", "107", "shorter path"]),
        ('database = "mysql://root@host/name"', ["'mysql' is not a database", "postgresql://user:password@host/name"]),
        ("data_dir = 1", ["a path"]),
        ('reserved_domains = ["a.org", "*.b.org"]', ["'*.b.org' is not a domain name", "such as example.org"]),
        (f'acme_trust = "{"9" * 5000}"', ["acme_trust", "there is no file /", "9999"]),
        ('site_certificates = "acme"', ["site_certificates", "no authority signs for names under localhost", "local"]),
        ('acme_eab_key_id = "1"', ["acme_eab_key_file", "belong together"]),
        ('acme_eab_key_id = "1"\nacme_eab_key_file = "/no"', ["acme_eab_key_file", "there is no file /no"]),
        ("uid_first = 0", ["0 is out of range", "from 1000 to"]),
        ("http_port = ", ["not valid TOML", "name = value"]),
        ("[section]\nx = 1", ["section", "there is no such setting"]),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, parts: list[str]) -> None:
    sentence = refusal(tmp_path, text)
    for part in parts:
        assert part in sentence
    assert "?" not in sentence.replace("Did you mean domain?", "")


def test_reserved_domains_are_read_in_any_case(tmp_path: Path) -> None:
    found = load({"HEREABOUTS_RESERVED_DOMAINS": "Example.org., corp.test"}, tmp_path)
    assert found.reserved_domains == ("example.org", "corp.test")


def test_a_wrong_variable_is_refused(tmp_path: Path) -> None:
    sentence = refusal(tmp_path, "http_port = 80", http_port="eighty")
    assert sentence.startswith("Setting HEREABOUTS_HTTP_PORT (from environment): 'eighty'")
    assert "Did you mean HEREABOUTS_RATE_LIMIT?" in refusal(tmp_path, rate_limits="5")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"there is no file /none\.toml\. Name an existing file"):
        load({"HEREABOUTS_CONFIG": "/none.toml"}, tmp_path)


def test_a_database_password_is_not_shown(tmp_path: Path) -> None:
    assert "hunter2" not in refusal(tmp_path, database="postgresql://me:hunter2@host:x/name")
    assert "hunter2" not in refusal(tmp_path, database="mysql://me:hunter2@host/name")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "hereabouts.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match="not valid TOML"):
        load({}, tmp_path)


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "hereabouts.toml").mkdir()
    with pytest.raises(SettingError, match=r"can't be read: Is a directory\."):
        load({}, tmp_path)


NAMES = st.sampled_from([field.name for field in FIELDS])
JUNK = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30),
    st.text(alphabet=string.digits + ".-:/e[]", max_size=30),
    st.sampled_from(["9" * 5000, "1e999", "nan", "[", "postgresql://[", "::1", "1,2", "10.0.0.0/0", "a.localhost"]),
)


@given(st.dictionaries(NAMES, JUNK, max_size=4))
def test_junk_in_the_environment_is_read_or_refused(environ: dict[str, str]) -> None:
    try:
        config = load({f"HEREABOUTS_{name.upper()}": value for name, value in environ.items()}, Path("/nowhere"))
    except SettingError as error:
        assert "\n" not in str(error)
        return
    assert config.data_dir.is_absolute()
    assert config.subnet.prefixlen <= 24
    assert config.site


@given(st.binary(max_size=60))
def test_junk_in_the_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    directory = tmp_path_factory.getbasetemp()
    (directory / "hereabouts.toml").write_bytes(content)
    try:
        load({}, directory)
    except SettingError as error:
        assert str(error).startswith("Setting ")


@pytest.mark.parametrize(("given", "found"), [("true", True), ("True", True), ("false", False), (" FALSE ", False)])
def test_a_yes_or_no_of_the_environment(tmp_path: Path, given: str, found: bool) -> None:
    assert load({"HEREABOUTS_SIGN_UP": given}, tmp_path).sign_up is found


def test_a_yes_or_no_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "hereabouts.toml").write_text("sign_up = true\n")
    assert load({}, tmp_path).sign_up is True
    assert "'yes' is not true or false" in refusal(tmp_path, 'sign_up = "yes"')
    assert "1 is not true or false" in refusal(tmp_path, "sign_up = 1")
