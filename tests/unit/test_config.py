from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundler.config.project import Overrides, load_config
from bundler.errors import ConfigError
from bundler.fetch.channels import Access
from bundler.units.service import make_units

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
[bundle]
name = "hello"
version = "1.2.0"
[files]
"hello" = "src"
[config]
PORT = "8000"
[services.hello]
command = ["python", "-m", "hello"]
health = { http = "http://127.0.0.1:${PORT}/healthz" }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "environment.yml").write_text("channels: [x]\ndependencies: [python]\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "bundle.toml").write_text(GOOD)
    return tmp_path


def refused(project: Path, text: str) -> str:
    (project / "bundle.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(project)
    assert caught.value.exit_code == 2
    return caught.value.format_message()


def test_defaults_are_the_contracts(project: Path) -> None:
    config = load_config(project)
    assert (config.name, config.version, config.platforms) == ("hello", "1.2.0", ("linux-64",))
    assert config.root == "/opt/hello"
    assert config.lockfile == project.resolve() / "conda-lock.yml"
    assert [(secret.name, secret.bytes) for secret in config.secrets] == [("RELEASE_COOKIE", 32)]


def test_the_cookie_can_be_turned_off(project: Path) -> None:
    (project / "bundle.toml").write_text(GOOD + "[secrets]\nRELEASE_COOKIE = false\n")
    assert load_config(project).secrets == ()


def test_all_mistakes_at_once_each_with_its_key(project: Path) -> None:
    text = GOOD.replace('name = "hello"', 'nmae = "hello"').replace('"-m", ', '"a\\nb", ')
    message = refused(project, text)
    assert "bundle.nmae: unknown key" in message
    assert "bundle.name: is missing" in message
    assert "services.hello.command.1: must not contain control characters" in message


@pytest.mark.parametrize("name", ["a/b", "../x", "Hello", "", "a b", "x" * 32, "-x", "1x", "x;y"])
def test_a_bad_name_is_refused(project: Path, name: str) -> None:
    assert "bundle.name" in refused(project, GOOD.replace('name = "hello"', f'name = "{name}"'))


@pytest.mark.parametrize("name", ["www-data", "postgres", "docker", "render", "systemd-x", "kvm"])
def test_the_name_of_a_user_that_servers_have_is_refused(project: Path, name: str) -> None:
    said = refused(project, GOOD.replace('name = "hello"', f'name = "{name}"'))
    assert f"choose a different name, such as my-{name}" in said


@pytest.mark.parametrize("uid", [0, 33, 99, 60000, 61184, 65534, 65535, 524288, 4294967295, -1])
def test_a_number_that_is_not_for_bundles_is_refused(project: Path, uid: int) -> None:
    said = refused(project, GOOD.replace('name = "hello"', f'name = "hello"\nuid = {uid}'))
    assert f"bundle.uid: {uid} is reserved for root, the distribution or containers" in said


@pytest.mark.parametrize("uid", [100, 999, 1234, 59999, 65536, 524287])
def test_the_number_of_its_user(project: Path, uid: int) -> None:
    (project / "bundle.toml").write_text(GOOD.replace('name = "hello"', f'name = "hello"\nuid = {uid}'))
    assert load_config(project).bundle.uid == uid


def test_workers_that_are_to_end_soon(project: Path) -> None:
    def head(more: str) -> tuple[tuple[str, str], ...]:
        (project / "bundle.toml").write_text(f"{GOOD}{more}")
        unit = make_units(load_config(project), "/opt/hello/releases/1", frozenset({"env/bin/python"}))[0]
        return unit.sections[0].directives

    assert ("X-ShortLivedWorkers", "yes") in head("short_lived_workers = true\n")
    assert not [key for key, _ in head("") if key.startswith("X-")]


@pytest.mark.parametrize("version", ["", "-1", "1/2", "1 2", "x" * 41, "1:2"])
def test_a_bad_version_is_refused(project: Path, version: str) -> None:
    assert "bundle.version" in refused(project, GOOD.replace("1.2.0", version))


@pytest.mark.parametrize(
    "url", ["none", "ftp://x/", "http://", "/healthz", "http://a b/", "http://x:99999999/", "https://x/"]
)
def test_a_health_url_that_is_none_is_refused(project: Path, url: str) -> None:
    message = refused(project, GOOD.replace("http://127.0.0.1:${PORT}/healthz", url))
    assert "services.hello.health.http: not a health check URL" in message


@pytest.mark.parametrize("url", ["http://[::1]:80/x", "http://${HOST}:${PORT}", "http://localhost/a?b=c"])
def test_a_health_url_may_hold_variables(project: Path, url: str) -> None:
    (project / "bundle.toml").write_text(GOOD.replace("http://127.0.0.1:${PORT}/healthz", url))
    health = load_config(project).services[0].table.health
    assert health is not None
    assert health.http == url


@pytest.mark.parametrize("target", ["/etc", "../x", ".", "a/../../b"])
def test_files_stay_below_app(project: Path, target: str) -> None:
    assert "files" in refused(project, GOOD.replace('"hello" = "src"', f'"{target}" = "src"'))


def test_missing_files_are_named_with_their_key(project: Path) -> None:
    message = refused(
        project, GOOD.replace('= "src"', '= "gone"').replace("[config]", "[config]\nRELEASE_COOKIE = 'x'")
    )
    assert "files.hello: no such file or directory" in message
    assert "config.RELEASE_COOKIE: is also a secret" in message


def test_an_unknown_place_is_refused_and_a_doubled_brace_is_not(project: Path) -> None:
    table = '[services.hello]\nenvironment = { X = "%s" }'
    assert "unknown placeholder {ap}" in refused(project, GOOD.replace("[services.hello]", table % "{ap}/x"))
    (project / "bundle.toml").write_text(GOOD.replace("[services.hello]", table % "{{levelname}}"))
    assert load_config(project).services[0].table.environment == {"X": "{{levelname}}"}


@pytest.mark.parametrize("value", ["a\\u0000b", "a\\u0007b", "a\\u007fb", "a\\ufffeb", "a\\ufdd0b"])
def test_a_value_that_systemd_would_drop_is_refused(project: Path, value: str) -> None:
    good = GOOD.replace("[config]", '[config]\nMARK = "a\\tb\\nc\\u0085d"')
    (project / "bundle.toml").write_text(good)
    assert dict(load_config(project).config)["MARK"] == "a\tb\nc\x85d"
    assert "config.MARK" in refused(project, GOOD.replace("[config]", f'[config]\nMARK = "{value}"'))
    inside = f'[services.hello]\nenvironment = {{ MARK = "{value}" }}'
    assert "services.hello.environment.MARK" in refused(project, GOOD.replace("[services.hello]", inside))


def test_a_directive_cannot_smuggle_a_line(project: Path) -> None:
    text = GOOD + '[services.hello.unit]\nService = { LimitNOFILE = "1\\nExecStartPre=/bin/evil" }\n'
    assert "services.hello.unit.Service.LimitNOFILE" in refused(project, text)


def test_a_health_name_that_is_taken(project: Path) -> None:
    assert "services.hello-health" in refused(project, GOOD + '[services.hello-health]\ncommand = ["x"]\n')


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            'unit = { Service = { MemoryMx = "1G" } }',
            "Service.MemoryMx: [Service] has no directive 'MemoryMx'; did you",
        ),
        ('unit = { Service = { RequiresMountsFor = "/x" } }', "it belongs in [Unit]"),
        ('unit = { Path = { PathExists = "/x" } }', "hello.unit.Path: unknown key"),
        (
            'unit = { Timer = { OnCalendar = "daily" } }',
            "hello.unit.Timer: requires a schedule: without one there is no timer",
        ),
        ('after = ["helo"]', "services.hello.after: there is no service 'helo'; did you mean hello?"),
        ('wants = ["other"]', "services.hello.wants: there is no service 'other'"),
        ('requires = ["hello"]', "dependency cycle: hello"),
        ('secrets = ["RELEASE_COKIE"]', "services.hello.secrets: there is no secret 'RELEASE_COKIE'; did you mean"),
        ("ports = [0]", "services.hello.ports.0"),
        ("ports = [65536]", "services.hello.ports.0"),
        ('working_directory = "work"', "services.hello.working_directory: not a valid directory"),
        ('working_directory = "{state}/../etc"', "services.hello.working_directory: not a valid directory"),
        ('working_directory = "{stat}/x"', "services.hello.working_directory: unknown place"),
        ('tasks_max = "many"', "services.hello.tasks_max"),
        ("watchdog = 5", 'services.hello.watchdog: requires type = "notify"'),
        ('schedule = { on_calendar = "dayly" }', "services.hello.schedule: not a calendar event: 'dayly'"),
        ('schedule = { on_calendar = "daily", randomized_delay = "x" }', "schedule.randomized_delay: not a span"),
        (
            'schedule = { on_calendar = "daily" }\nrestart = "always"',
            "hello.restart: not allowed for a job with a schedule",
        ),
        ('type = "forking"', "services.hello.type"),
        ('hardening = "some"', "services.hello.hardening"),
        (
            'unit = { Unit = { StartLimitIntervalSec = "10" }, Service = { RestartSec = "5" } }',
            "services.hello.unit: the start limit can never be reached: 5 starts 5 s apart take longer than",
        ),
        ('unit = { Service = { RestartSec = "soon" } }', "services.hello.unit.Service.RestartSec: not a span of time"),
    ],
)
def test_a_service_that_cannot_be_is_refused_by_its_key(project: Path, table: str, said: str) -> None:
    bare = GOOD.replace('health = { http = "http://127.0.0.1:${PORT}/healthz" }\n', "")
    assert said in refused(project, f"{bare}{table}\n")


@pytest.mark.parametrize(
    ("health", "said"),
    [
        ("{}", "services.hello.health: needs exactly one of http, tcp, command and notify; it has none"),
        ('{ http = "http://a/", tcp = "a:1" }', "it has http and tcp"),
        ('{ tcp = "a:1", body = "x" }', "status and body apply only to http"),
        ('{ tcp = "127.0.0.1" }', "services.hello.health.tcp: not an address to connect to"),
        ('{ http = "http://a/", status = 99 }', "services.hello.health.status"),
        ("{ command = [] }", "services.hello.health.command"),
        ("{ notify = false }", "services.hello.health.notify"),
        ('{ tcp = "a:1", interval = 1 }', "services.hello.health.interval"),
    ],
)
def test_a_health_check_that_cannot_be(project: Path, health: str, said: str) -> None:
    assert said in refused(project, GOOD.replace('{ http = "http://127.0.0.1:${PORT}/healthz" }', health))


def test_a_start_limit_that_is_turned_off_is_the_users_own(project: Path) -> None:
    (project / "bundle.toml").write_text(GOOD + 'unit = { Unit = { StartLimitIntervalSec = "0" } }\n')
    assert load_config(project).services[0].table.unit.Unit == {"StartLimitIntervalSec": "0"}


def test_services_that_wait_in_a_circle(project: Path) -> None:
    circle = '[services.a]\ncommand = ["x"]\nafter = ["b"]\n[services.b]\ncommand = ["x"]\nrequires = ["c"]\n'
    circle += '[services.c]\ncommand = ["x"]\nwants = ["a"]\n[services.d]\ncommand = ["x"]\nafter = ["hello"]\n'
    assert "dependency cycle: a, b, c" in refused(project, GOOD + circle)


@pytest.mark.parametrize("name", ["hello-watch", "hello-health"])
def test_a_name_that_the_health_check_needs(project: Path, name: str) -> None:
    assert f"services.{name}: this name is used" in refused(project, GOOD + f'[services.{name}]\ncommand = ["x"]\n')


def test_broken_toml_names_the_file(project: Path) -> None:
    assert "bundle.toml" in refused(project, "[bundle\n")


def test_the_command_line_does_without_a_bundle_toml(tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text("dependencies: [python]\n")
    overrides = Overrides(
        environments=(tmp_path / "environment.yml",), name="lone", version="3", command=("python", "-m", "http.server")
    )
    config = load_config(tmp_path, overrides)
    assert config.services[0].table.command == ("python", "-m", "http.server")
    assert config.source == "command line"
    with pytest.raises(ConfigError, match="version is required"):
        load_config(tmp_path, Overrides(environments=(tmp_path / "environment.yml",), name="lone", command=("x",)))


def test_no_bundle_toml_and_no_options(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no bundle\.toml"):
        load_config(tmp_path)


def test_the_command_line_wins(project: Path) -> None:
    config = load_config(project, Overrides(version="9", platforms=("linux-aarch64",), channels=("file:///c",)))
    assert (config.version, config.platforms, config.channels) == ("9", ("linux-aarch64",), ("file:///c",))


@pytest.mark.parametrize(
    ("form", "made"),
    [
        ("{}", (32, "hex", 64, "environment")),
        ("{ bytes = 16 }", (16, "hex", 32, "environment")),
        ('{ format = "base32" }', (32, "base32", 52, "environment")),
        ('{ format = "base64url", bytes = 64, delivery = "credential" }', (64, "base64url", 86, "credential")),
        ('{ format = "base64url", length = 22 }', (17, "base64url", 22, "environment")),
        ('{ format = "alphanumeric" }', (43, "alphanumeric", 43, "environment")),
        ('{ format = "alphanumeric", length = 30 }', (30, "alphanumeric", 30, "environment")),
        ("{ length = 33 }", (17, "hex", 33, "environment")),
    ],
)
def test_forms_of_secrets(project: Path, form: str, made: tuple[object, ...]) -> None:
    (project / "bundle.toml").write_text(f"{GOOD}[secrets]\nKEY = {form}\n")
    secret = load_config(project).secrets[0]
    assert (secret.bytes, secret.format, secret.characters, secret.delivery) == made


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("{ bytes = 15 }", "it must be at least 16"),
        ("{ length = 31 }", "are too short; minimum 32"),
        ('{ format = "base32", length = 25 }', "are too short; minimum 26"),
        ('{ format = "alphanumeric", length = 21 }', "are too short; minimum 22"),
        ("{ bytes = 32, length = 64 }", "are mutually exclusive"),
        ('{ format = "base64" }', "KEY"),
        ('{ delivery = "argv" }', "KEY"),
    ],
)
def test_secrets_that_could_be_guessed_or_made_by_nobody_are_refused(project: Path, form: str, said: str) -> None:
    message = refused(project, f"{GOOD}[secrets]\nKEY = {form}\n")
    assert "secrets.KEY" in message
    assert said in message


def test_a_services_secrets_are_the_bundles(project: Path) -> None:
    text = GOOD.replace("command =", 'secrets = ["NONE"]\nenvironment = { RELEASE_COOKIE = "x" }\ncommand =')
    message = refused(project, text)
    assert "services.hello.secrets: there is no secret 'NONE'" in message
    assert "services.hello.environment.RELEASE_COOKIE: is also a secret" in message


@pytest.mark.parametrize(
    "table", ['listen = "localhost"', 'listen = "::1"', "port = 80", 'distribution = "yes"', "epmd = true"]
)
def test_an_invalid_erlang_table(project: Path, table: str) -> None:
    assert "erlang." in refused(project, f"{GOOD}[erlang]\n{table}\n")


def test_the_erlang_table_by_its_old_name(project: Path) -> None:
    (project / "bundle.toml").write_text(f'{GOOD}[release]\ndistribution = "name"\n')
    assert load_config(project).erlang.distribution == "name"
    assert "release.port: " in refused(project, f"{GOOD}[release]\nport = 80\n")
    assert "release: " in refused(project, f"{GOOD}[erlang]\nport = 5000\n[release]\nport = 5000\n")


def test_one_environment_file_or_several(project: Path) -> None:
    config = load_config(project)
    assert (config.environments, config.categories) == ((project.resolve() / "environment.yml",), ("main",))
    text = GOOD.replace("[files]", 'environment = ["environment.yml", "gpu.yml"]\ncategories = ["gpu"]\n[files]')
    assert f"bundle.environment: no such file: {project.resolve() / 'gpu.yml'}" in refused(project, text)
    (project / "gpu.yml").write_text("dependencies: [cuda]\n")
    config = load_config(project)
    assert [path.name for path in config.environments] == ["environment.yml", "gpu.yml"]
    assert config.categories == ("gpu",)
    assert config.lockfile == project.resolve() / "conda-lock.yml"
    overridden = load_config(project, Overrides(environments=(project / "gpu.yml",), categories=("dev",)))
    assert overridden.environments == (project.resolve() / "gpu.yml",)
    assert overridden.categories == ("gpu", "dev")
    assert "bundle.environment" in refused(project, GOOD.replace("[files]", "environment = []\n[files]"))


def test_how_channels_are_reached(project: Path) -> None:
    assert load_config(project).access == Access()
    table = """
[channels]
mirrors = { "https://127.0.0.1/forge/" = ["https://${USER_NAME}:${PASSWORD}@127.0.0.2/m", "file:///srv/mirror/"] }
priority = "flexible"
retries = 0
read_timeout = 2.5
"""
    (project / "bundle.toml").write_text(GOOD + table)
    mirrors = ("https://127.0.0.1/forge", ("https://${USER_NAME}:${PASSWORD}@127.0.0.2/m", "file:///srv/mirror"))
    wanted = Access(mirrors=(mirrors,), priority="flexible", retries=0, read_timeout=2.5, offline=True)
    assert load_config(project, Overrides(offline=True)).access == wanted


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('mirrors = { "forge" = ["file:///m"] }', "is not a URL"),
        ('mirrors = { "https://127.0.0.1/c" = ["../mirror"] }', "is not a URL"),
        ('mirrors = { "https://127.0.0.1/c" = [] }', "channels.mirrors.https://127.0.0.1/c"),
        (
            'mirrors = { "https://127.0.0.1/c" = ["https://me:s3cret@127.0.0.2"] }',
            "the URL contains a password, token or query",
        ),
        ('mirrors = { "https://me:s3cret@127.0.0.1" = ["file:///m"] }', "the URL contains a password, token or query"),
        (
            'mirrors = { "https://127.0.0.1/c" = ["https://127.0.0.2/t/s3cret/c"] }',
            "the URL contains a password, token or query",
        ),
        ('mirrors = { "ftp://me:s3cret@127.0.0.1" = ["file:///m"] }', "is not a URL"),
        ('priority = "disabled"', "channels.priority"),
        ("retries = -1", "channels.retries"),
        ("read_timeout = 0", "channels.read_timeout"),
    ],
)
def test_channels_that_cannot_be_reached_so(project: Path, line: str, said: str) -> None:
    message = refused(project, f"{GOOD}\n[channels]\n{line}\n")
    assert said in message
    assert "s3cret" not in message


@pytest.mark.parametrize("name", ["systemd", "conda-bundler", "credentials", "dbus", "systemd-mine", "nginx", "cron"])
def test_a_service_is_not_called_as_the_system_is(project: Path, name: str) -> None:
    said = refused(project, GOOD + f'[services.{name}]\ncommand = ["python"]\n')
    assert (
        f"services.{name}: servers already have a unit {name}.service or a directory /run/{name}; choose a different"
        in said
    )


def test_a_service_is_not_called_as_a_unit_of_install_sh(project: Path) -> None:
    for name in ("hello-recover", "hello-first-boot"):
        assert f"services.{name}: servers already have a unit" in refused(
            project, GOOD + f'[services.{name}]\ncommand = ["python"]\n'
        )


@pytest.mark.parametrize("name", ["conda-bundler", "systemd", "dbus", "credentials"])
def test_a_bundle_is_not_called_as_the_system_is(project: Path, name: str) -> None:
    said = refused(project, GOOD.replace('name = "hello"', f'name = "{name}"'))
    assert "bundle.name: servers already have" in said
    assert f"such as my-{name}" in said
