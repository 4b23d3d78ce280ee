"""`make run`: all of the service on one machine, in the foreground.

python -m scripts.run                               run until Ctrl-C or SIGTERM
python -m scripts.run --with-database -- COMMAND    run a command on the same database
python -m scripts.run --check-stopped               fail, with the reason, while it runs
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType

from honcho.environ import parse_procfile

from payment_service import config
from payment_service.config.callers import SOURCES
from payment_service.config.reading import BadSettings, is_set, read
from payment_service.embedded import EmbeddedError, Server
from payment_service.sandbox.settings import SandboxSettings
from scripts import databases
from scripts.metrics_folder import forget, fresh_metrics, metrics_folder
from scripts.preflight import (
    ROOT,
    Refused,
    check_disk,
    check_ports,
    check_settings,
    locked,
    read_environment,
)
from scripts.supervisor import MARK, Console, GivenUp, Kept, Process, stop_left_overs
from scripts.world import Ports, unset, world

READY_SECONDS = 60.0
FIRST_ADMIN = "admin@localhost"
Say = Callable[[str], None]


class Stop:
    """What the signals said: to stop, and when it was said twice, to hurry."""

    def __init__(self) -> None:
        self.asked, self.hurry = threading.Event(), threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # SIGINT is ignored in a shell's background job, and still meant; SIGHUP under nohup.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked.is_set():
            self.hurry.set()
        self.asked.set()


def run() -> None:
    """Start everything, keep it running until a signal says stop, and stop everything."""
    open_to_all = without_tokens()
    stop, ports, var = Stop(), check_settings(), read_environment()
    processes = parse_procfile((ROOT / "Procfile").read_text()).processes
    console = Console(var / "logs", ["postgres", *processes])
    say = partial(console.write, "run")
    if open_to_all:
        say("AUTH_MODE=off, as nothing is set: NO TOKEN IS ASKED FOR. Whoever reaches the service")
        say("on this machine can charge and refund; docs/identity.md says how to ask for tokens")
    with locked(var):
        check_disk(var)
        if ended := stop_left_overs(var):
            say(f"stopped {ended} processes that an earlier run left behind")
        check_ports(ports)
        with embedded_servers(var, say) as servers, fresh_metrics(var):
            environ = child_environment(var, ports)
            if not prepared(environ, console, stop):
                return
            link = first_link(environ) if sys.stdout.isatty() else ""
            kept = [
                Kept(name, partial(Process, name, command, environ, ROOT, console))
                for name, command in processes.items()
            ]
            keep(kept, servers, stop, say, ports, link)
        say("stopped")


def without_tokens() -> bool:
    """Set AUTH_MODE=off where nothing says who may call. Whether it was set here."""
    if any(is_set(name, os.environ) for name in ("AUTH_MODE", *map(str.upper, SOURCES))):
        return False
    os.environ["AUTH_MODE"] = "off"
    return True


def keep(
    kept: list[Kept[Process]],
    servers: list[Kept[Server]],
    stop: Stop,
    say: Say,
    ports: Ports,
    link: str,
) -> None:
    """Watch over them until a signal says stop. Ends `kept`; the servers are the caller's."""
    try:
        for one in kept:
            one.start()
        threading.Thread(target=announce, args=[stop, say, ports, link], daemon=True).start()
        while not stop.asked.wait(0.2):
            for server in servers:
                server.look(say)
            for process in kept:
                process.look(say)
        say("stopping; once more to hurry")
    finally:
        # In the order of the Procfile, so that the sandbox answers until the web has finished.
        for one in kept:
            one.stop(stop.hurry)


def child_environment(var: Path, ports: Ports) -> dict[str, str]:
    """What the processes of the Procfile see. What is set already stays."""
    defaults = {
        **world(ports, var),
        "SANDBOX_DIR": str(var / "sandbox"),
        "SANDBOX_WEBHOOK_URL": f"http://127.0.0.1:{ports['SERVICE_PORT']}/v1/webhooks",
        "PROMETHEUS_MULTIPROC_DIR": str(metrics_folder(var)),
        "PYTHONUNBUFFERED": "1",
    }
    return {**os.environ, **unset(defaults), MARK: str(var)}


@contextlib.contextmanager
def embedded_servers(var: Path, say: Say) -> Iterator[list[Kept[Server]]]:
    """The servers that the environment does not name, their addresses put into it."""
    kept: list[Kept[Server]] = []
    for left_over in databases.running(var):
        left_over.stop()
    try:
        for name in databases.wanted(os.environ):
            one = Kept(name, partial(databases.STARTERS[name], var / name))
            kept.append(one)
            os.environ[databases.NAMED_BY[name][0]] = one.start().url
            say(f"{name} runs in {var / name}")
        yield kept
    finally:
        for one in reversed(kept):
            one.stop()


def prepared(environ: dict[str, str], console: Console, stop: Stop) -> bool:
    """Bring the tables and the first data. False if a signal came between. Raises Refused."""
    for command in ("flask db upgrade", "flask seed"):
        step = Process(command.split()[-1], command, environ, ROOT, console)
        while step.alive() and not stop.asked.wait(0.05):
            pass
        if stop.asked.is_set():
            step.stop(stop.hurry)
            return False
        if step.how_it_ended() != "exit 0":
            raise Refused(f"{command} failed ({step.how_it_ended()}); its output is above")
    return True


def first_link(environ: dict[str, str]) -> str:
    """A link for the first admin, as long as none can come in; else "". Nobody else may see it: it
    goes to no console and no log."""
    command = ["flask", "operators", "invite", FIRST_ADMIN, "--role", "admin", "--if-none"]
    asked = subprocess.run(
        command, env=environ, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return asked.stdout.strip() if asked.returncode == 0 else ""


def announce(stop: Stop, say: Say, ports: Ports, link: str) -> None:
    """Say the addresses once the service is ready; a link to the terminal only."""
    service = f"http://{host_to_ask()}:{ports['SERVICE_PORT']}"
    deadline = time.monotonic() + READY_SECONDS
    while not answers(f"{service}/health/ready"):
        if time.monotonic() > deadline:
            say(f"not ready after {READY_SECONDS:.0f} s: {service}/health/ready says why")
            deadline = float("inf")
        if stop.asked.wait(0.2):
            return
    say(f"ready: {service}/v1/payments  API, described at {service}/docs")
    say(f"       http://127.0.0.1:{ports['SANDBOX_PORT']}/  sandbox: provider and services")
    say(f"       {service}/admin/  where operators log in")
    if link:
        print(f"The first admin comes in here, once, within 24 hours: {link}", flush=True)
    elif not sys.stdout.isatty():  # a file would keep the link
        say('       a link for an admin: make flask ARGS="operators invite EMAIL --role admin"')
    say("Ctrl-C stops all of it")


def host_to_ask() -> str:
    """Where this machine reaches the service, as a URL has it."""
    host = config.look()[0].service_host
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host else host


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own port
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def with_database(command: list[str]) -> int:
    """Run `command` on the database of VAR_DIR, started for it if need be. Returns its exit code.

    Besides DATABASE_URL and REDIS_URL it gets what psql and its like read.
    """
    without_tokens()
    var = read_environment()
    if "postgres" in databases.wanted(os.environ):
        # Whom a restore may want to ask.
        service, outside = config.look()[0], read(SandboxSettings, os.environ)[0]
        ports = {"SERVICE_PORT": service.service_port, "SANDBOX_PORT": outside["sandbox_port"]}
        os.environ.update(unset(world(ports)))
    try:
        with locked(var), embedded_servers(var, lambda line: None):
            return on_database(command)
    except Refused:
        servers = databases.running(var)
        if "postgres" in databases.wanted(os.environ) and not servers:
            raise
    for server in servers:
        if server.name in databases.wanted(os.environ):
            os.environ[databases.NAMED_BY[server.name][0]] = server.url
    return on_database(command)


def on_database(command: list[str]) -> int:
    programs = databases.with_programs(os.environ)
    # Read as the service reads it: DATABASE_URL or DB_HOST.
    variables = databases.client_variables(config.load().database_url)
    # Ctrl-C is for the command (psql takes it back to its prompt), SIGTERM is passed on.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        child = subprocess.Popen(command, env={**programs, **variables})
    except OSError as error:
        raise Refused(f"{command[0]}: {error.strerror}") from error
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: child.send_signal(number))
    return child.wait()


def main(arguments: list[str]) -> int:
    try:
        if arguments[:2] == ["--with-database", "--"] and arguments[2:]:
            return with_database(arguments[2:])
        if arguments == ["--check-stopped"]:
            with locked(var := read_environment()):
                forget(var)
                return 0
        if arguments:
            raise Refused(str(__doc__).split("\n", 2)[2].strip())
        run()
    except (Refused, BadSettings, GivenUp, EmbeddedError) as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
