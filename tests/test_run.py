"""`make run` with a stub in the place of the app: what is started, kept running and ended.

The supervisor, the embedded servers and gunicorn are the real ones.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from payment_service import embedded
from scripts import databases
from scripts.metrics_folder import MEMORY, forget, metrics_folder
from tests.clusters import copied
from tests.patience import PATIENCE
from tests.sandbox_calls import eventually
from tests.sandbox_server import reserved_port

ROOT = Path(__file__).resolve().parents[1]
PROCFILE = """\
web: gunicorn -c gunicorn.conf.py 'payment_service:create_app()'
worker: python -IS worker.py
sandbox: gunicorn --no-control-socket -b 127.0.0.1:$SANDBOX_PORT 'payment_service:create_app()'
"""
WORKER = """
import os, time
while not os.path.exists(os.environ["VAR_DIR"] + "/worker-dies"):
    time.sleep(0.1)
raise SystemExit(3)
"""
STUB = """
import os, time
from flask import Flask, request
from flask.cli import AppGroup

def read_settings(**overrides):
    from payment_service import config
    return config.load(**overrides)

def create_app():
    app = Flask(__name__)

    @app.get("/health/ready")
    def ready():
        return {"pid": os.getpid(), "master": os.getppid()}

    @app.get("/setting/<name>")
    def setting(name):
        return os.environ.get(name, "")

    @app.get("/slow")
    def slow():
        here = os.environ["VAR_DIR"] + "/slow-"
        open(here + "began", "w").close()
        while not os.path.exists(here + "may-end"):
            time.sleep(0.05)
        return "finished"

    @app.cli.command("seed")
    def seed():
        print("seeded")

    tables = AppGroup("db")

    @tables.command("upgrade")
    def upgrade():
        raise SystemExit(int(os.environ.get("UPGRADE_CODE", "0")))

    app.cli.add_command(tables)
    return app
"""


class Place:
    """A checkout with a stub app, a VAR_DIR with a copy of this cluster, and two free ports."""

    def __init__(self, root: Path, cluster: Path) -> None:
        self.root, self.var = root, root / "var"
        shutil.copytree(ROOT / "scripts", root / "scripts")
        shutil.copytree(ROOT / "payment_service/embedded", root / "payment_service/embedded")
        for part in ("config", "http", "sandbox", "serving", "telemetry"):
            shutil.copytree(ROOT / "payment_service" / part, root / "payment_service" / part)
        for module in (ROOT / "payment_service").glob("*.py"):
            shutil.copy(module, root / "payment_service")
        # What gunicorn.conf.py needs of the API.
        (root / "payment_service/api").mkdir()
        shutil.copytree(ROOT / "payment_service/domain", root / "payment_service/domain")
        for part in ("prefix", "headers"):
            shutil.copy(ROOT / f"payment_service/api/{part}.py", root / "payment_service/api")
        shutil.copy(ROOT / "gunicorn.conf.py", root)
        (root / "payment_service/__init__.py").write_text(STUB)
        (root / "worker.py").write_text(WORKER)
        (root / "Procfile").write_text(PROCFILE)
        self.var.mkdir(mode=0o700)
        copied(cluster, self.var / "postgres")
        self._reserved = [reserved_port() for _ in range(2)]
        self.ports = [reserved.getsockname()[1] for reserved in self._reserved]
        self.started: list[subprocess.Popen[bytes]] = []

    def environ(self, **more: str) -> dict[str, str]:
        unset = {name for names in databases.NAMED_BY.values() for name in names}
        clean = {name: value for name, value in os.environ.items() if name not in unset}
        ports = {"SERVICE_PORT": str(self.ports[0]), "SANDBOX_PORT": str(self.ports[1])}
        return {**clean, **ports, "VAR_DIR": str(self.var), **more}

    def run(self, **more: str) -> subprocess.Popen[bytes]:
        """Start it in the background; its output goes to `out`."""
        with (self.root / "out").open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "scripts.run"],
                cwd=self.root,
                env=self.environ(**more),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def up(self, **more: str) -> subprocess.Popen[bytes]:
        process = self.run(**more)
        said = self.output().count("Ctrl-C stops")
        eventually(lambda: self.output().count("Ctrl-C stops") > said or process.poll() is not None)
        assert process.poll() is None, self.output()
        return process

    def call(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "scripts.run", *arguments],
            cwd=self.root,
            env=self.environ(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def output(self) -> str:
        file = self.root / "out"
        return file.read_text(errors="replace") if file.exists() else ""

    def get(self, path: str, port: int = 0) -> str:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.ports[port]}{path}", timeout=PATIENCE
        ) as answer:
            text: str = answer.read().decode()
            return text

    def close(self) -> None:
        """Gives the ports back."""
        for reserved in self._reserved:
            reserved.close()

    def processes(self) -> list[psutil.Process]:
        """All that lives of this place, its database servers too."""
        found = [server.process for server in databases.running(self.var)]
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                mine = process.environ().get("VAR_DIR") == str(self.var)
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


@pytest.fixture
def place(cluster: Path) -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="run-") as name:
        place = Place(Path(name).resolve(), cluster)
        try:
            yield place
        finally:
            for process in place.started:
                process.kill()
                process.wait()
            for left in place.processes():
                with contextlib.suppress(psutil.Error):
                    left.kill()
            eventually(lambda: not place.processes())
            forget(place.var)
            place.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_of_it_and_is_no_failure(place: Place, number: int) -> None:
    # Under nohup the suite ignores SIGHUP, and what it starts would ignore it too.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        process = place.up()
    finally:
        signal.signal(signal.SIGHUP, before)
    # Ready is who has one web process; the others may be on their way.
    eventually(lambda: len(place.processes()) >= 8)
    process.send_signal(number)
    assert process.wait(PATIENCE) == 0
    assert place.processes() == []
    assert "Traceback" not in place.output()
    assert not metrics_folder(place.var).exists()


@pytest.mark.slow
def test_requests_in_flight_are_answered_before_the_end(place: Place) -> None:
    process = place.up()
    url = f"http://127.0.0.1:{place.ports[0]}/slow"
    with subprocess.Popen(["curl", "-sS", url], stdout=subprocess.PIPE) as slow:
        eventually((place.var / "slow-began").exists)
        process.terminate()
        (place.var / "slow-may-end").touch()
        assert slow.communicate(timeout=PATIENCE)[0] == b"finished"
    assert process.wait(PATIENCE) == 0


@pytest.mark.slow
def test_at_a_second_start_the_data_is_still_there(place: Place) -> None:
    shutil.rmtree(place.var)
    for statement in ("CREATE TABLE kept (n int)", "SELECT count(*) FROM kept"):
        done = place.call("--with-database", "--", "psql", "-qAtc", statement)
        assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "0\n"
    assert place.processes() == []
    place.up()
    done = place.call("--with-database", "--", "psql", "-qAtc", "SELECT count(*) FROM kept")
    assert done.stdout == "0\n", "the running server is used"


@pytest.mark.slow
def test_a_command_on_the_database_gives_back_its_exit_code(place: Place) -> None:
    assert place.call("--with-database", "--", "sh", "-c", "exit 7").returncode == 7
    asked = place.call("--with-database", "--", "printenv", "SANDBOX_PROVIDER_URL")
    assert asked.stdout.startswith("http://127.0.0.1:"), "a restore asks the provider of make run"
    missing = place.call("--with-database", "--", "no-such-program")
    assert missing.returncode == 1
    assert missing.stderr == "run: no-such-program: No such file or directory\n"


@pytest.mark.slow
def test_what_a_killed_supervisor_left_is_stopped_first(place: Place) -> None:
    first = place.up()
    # Ready is who has one web process; the others may be on their way.
    eventually(lambda: len(place.processes()) > 8)
    first.kill()
    first.wait()
    left = place.processes()
    assert len(left) >= 8
    assert metrics_folder(place.var).parent == MEMORY
    counted = metrics_folder(place.var) / "counter_1.db"
    counted.touch()
    second = place.up()
    assert not counted.exists()
    assert not any(map(embedded.lives, left))
    assert "an earlier run left behind" in place.output()
    second.terminate()
    assert second.wait(PATIENCE) == 0
    assert place.processes() == []


@pytest.mark.slow
def test_a_process_that_is_killed_comes_back(place: Place) -> None:
    place.up()

    for port in (0, 1):
        before = master(place, port)
        os.kill(before, signal.SIGKILL)
        eventually(partial(has_another_master, place, port, before))
    for server in databases.running(place.var):
        server.process.kill()
        eventually(partial(lives_again, place, server.name))


def master(place: Place, port: int) -> int:
    """The process id of the gunicorn that answers there, 0 if none does."""
    with contextlib.suppress(OSError):
        return int(json.loads(place.get("/health/ready", port))["master"])
    return 0


def has_another_master(place: Place, port: int, before: int) -> bool:
    # Orphans of the old one may still answer; they have another parent by then.
    now = master(place, port)
    with contextlib.suppress(psutil.Error):  # that parent may be gone, too
        return now not in (0, before) and "gunicorn" in " ".join(psutil.Process(now).cmdline())
    return False


def lives_again(place: Place, name: str) -> bool:
    return any(server.name == name and server.alive() for server in databases.running(place.var))


@pytest.mark.slow
def test_a_process_that_can_not_stay_up_ends_the_run(place: Place) -> None:
    process = place.up()
    (place.var / "worker-dies").touch()
    assert process.wait(PATIENCE) == 1
    assert "run: worker died (exit 3) 5 times soon after its start" in place.output()
    assert place.processes() == []


@pytest.mark.slow
def test_children_learn_where_everything_is(place: Place) -> None:
    place.up(TRIP_SERVICE_URL="http://trips.example")
    sandbox = f"http://127.0.0.1:{place.ports[1]}"
    assert place.get("/setting/TRIP_SERVICE_URL") == "http://trips.example"
    assert place.get("/setting/SANDBOX_PROVIDER_URL") == sandbox
    assert place.get("/setting/SANDBOX_DIR") == str(place.var / "sandbox")
    assert place.get("/setting/PROMETHEUS_MULTIPROC_DIR") == str(metrics_folder(place.var))
    assert place.get("/setting/DATABASE_URL").startswith("postgresql+psycopg2://payments:")
    assert place.get("/setting/REDIS_URL").startswith("redis://:")
    listening = {
        connection.laddr.ip
        for process in place.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    assert "Booting worker" in (place.var / "logs/web.log").read_text()


@pytest.mark.slow
def test_without_any_setting_nobody_is_asked_for_a_token_and_it_says_so(place: Place) -> None:
    place.up(AUTH_MODE="")
    assert "NO TOKEN IS ASKED FOR" in place.output()
    assert place.get("/setting/AUTH_MODE") == "off"


@pytest.mark.slow
def test_who_says_where_keys_are_is_believed(place: Place) -> None:
    place.up(AUTH_MODE="", JWT_SECRET="x" * 32, SERVICE_HOST="localhost")
    assert f"http://localhost:{place.ports[0]}" in place.output()
    assert "NO TOKEN IS ASKED FOR" not in place.output()
    assert place.get("/setting/AUTH_MODE") == ""


@pytest.mark.slow
def test_a_server_that_the_environment_names_is_not_embedded(place: Place) -> None:
    server = embedded.start_redis(place.root / "redis")
    try:
        place.up(REDIS_URL=server.url)
        assert place.get("/setting/REDIS_URL") == server.url
        assert [one.name for one in databases.running(place.var)] == ["postgres"]
    finally:
        server.stop()


@pytest.mark.slow
def test_bad_settings_are_told_before_anything_starts(place: Place) -> None:
    bad = {"REDIS_URL": "nonsense", "SANDBOX_PORT": "0", "WEB_THREADS": "", "SEED_DEMO": "perhaps"}
    done = place.call(**bad, VAR_DIR="/dev/null/var", DATABASE_URL="mysql://x:hunter2@h/d")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "run: These settings of the environment are missing or wrong:",
        "  DATABASE_URL: must be postgresql://user:password@host:port/name, several hosts with"
        " commas between, or Host=host;Port=port;Database=name;Username=user;Password=password",
        "  REDIS_URL: must be redis://:password@host:port/number, rediss://, or redis+sentinel://"
        ":password@host:port,host:port/master/number; behind a ? at most db, protocol, client_name,"
        " what begins with ssl_, and sentinel_password",
        "  SEED_DEMO: must be true or false",
        "  SANDBOX_PORT: must be a port, from 1 to 65535",
        "  VAR_DIR: must be a folder that is there and can be written, or can be made",
    ]
    assert done.stdout == ""
    assert place.processes() == []


def refusal(place: Place, **more: str) -> str:
    done = place.call(**more)
    assert done.returncode == 1
    assert place.processes() == []
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SERVICE_PORT", "SANDBOX_PORT"])
def test_a_taken_port_is_one_line(place: Place, name: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert refusal(place, **{name: port}) == (
            f"run: port {port} can't be had (Address already in use): set {name} to another"
        )


@pytest.mark.slow
def test_tables_that_can_not_be_made_are_one_line(place: Place) -> None:
    assert refusal(place, UPGRADE_CODE="4").startswith("run: flask db upgrade failed (exit 4)")


@pytest.mark.slow
def test_one_run_at_a_time_per_var_dir(place: Place) -> None:
    first = place.up()
    second = place.call()
    assert second.returncode == 1
    assert second.stderr.startswith(f"run: {place.var} is in use by process {first.pid}")
    assert place.call("--check-stopped").returncode == 1
    place.get("/health/ready")
    first.terminate()
    first.wait(PATIENCE)
    assert place.call("--check-stopped").returncode == 0


@pytest.mark.slow
def test_a_signal_while_it_starts_ends_it_too(place: Place) -> None:
    process = place.run()
    eventually(lambda: "postgres runs" in place.output())
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert place.processes() == []
