"""gunicorn for the service, with the reason for each value that is not its default."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gunicorn.errors import AppImportError
from gunicorn.glogging import Logger
from gunicorn.http import message
from sqlalchemy.exc import OperationalError

from payment_service import read_settings
from payment_service.config import BadSettings, callers, look
from payment_service.config.urls import is_loopback
from payment_service.domain import cards
from payment_service.serving.worker import PatientWorker
from payment_service.telemetry import logs, metric_files, traces

# The master's start, or its last reload; its workers have it from there.
started = datetime.now(UTC)

# What is wrong has its default here; all of it is told when gunicorn starts, which then ends.
chosen, wrong = look()


class EvenWorker(PatientWorker):
    """Leaves a new connection to the worker that has the fewest.

    Whoever is awake takes it, and the caller keeps it: 16 connections were seen on one of two
    workers, which halves the service, and 11 to 5 was usual (8 to 8 with this). SO_REUSEPORT would
    draw lots instead, and give connections to a worker that hangs.
    """

    def accept(self, listener: Any) -> bool:
        time.sleep(min(self.served() * 0.0001, 0.002))
        return super().accept(listener)  # which minds it not if another was faster

    def load_wsgi(self) -> None:
        """A worker that dies is started again, without end; but what is wrong with the settings
        is as wrong for the next one. This is what only the providers can say."""
        try:
            super().load_wsgi()
            self._look_around()
        except BadSettings as error:
            raise AppImportError(str(error)) from None
        # By --bind it may listen elsewhere than SERVICE_HOST says.
        names = [listener.getsockname() for listener in self.sockets]
        if chosen.auth_mode == "off" and not all(
            isinstance(name, str) or is_loopback(name[0]) for name in names
        ):
            raise AppImportError("AUTH_MODE=off is refused unless it listens on loopback only")

    def _look_around(self) -> None:
        """Raises BadSettings if rows need a key that is not there, or prepared statements meet a
        pooler; says what is odd in the routes, and writes down the settings. Nobody waits for a
        database that is away: whoever reads such a row is told then."""
        if "keyring" not in getattr(self.wsgi, "extensions", {}):
            return  # another app than ours
        # Here, as the app has loaded them by now.
        from payment_service.services import keys, starting
        from payment_service.telemetry import requests

        if traces.start(self.wsgi.extensions["settings"], "web"):
            requests.trace(self.wsgi)
        with self.wsgi.app_context(), contextlib.suppress(OperationalError):
            starting.warn_of_names()
            starting.warn_of_routes()
            starting.look_at_database()
            keys.refuse_missing()
            starting.write_down(process="web", started=started)


class MaskedLog(Logger):
    """gunicorn's own lines, its stacks too, with nothing in them that is secret or personal."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(logs.MaskedLines(self.error_fmt, self.datefmt, cards.masked))


logger_class = MaskedLog

# Who must not be reached from elsewhere never is, not even until it is said why.
_host = "127.0.0.1" if callers.faults(chosen, wrong) else chosen.service_host
_host = f"[{_host}]" if ":" in _host else _host
bind = [
    f"{_host}:{port}"
    for port in (chosen.service_port, chosen.metrics_port, chosen.health_port)
    if port is not None
]
workers = chosen.web_workers
worker_class = EvenWorker
# Each worker keeps to one of these; none where they are not shared evenly, or can't be chosen.
cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
if not chosen.web_core_each:
    cores = []
# A request waits for a provider most of its time, so there are many more threads than cores.
threads = chosen.web_threads

# Requests in flight may finish: longer than a provider is waited for, shorter than the 30 s after
# which Kubernetes kills.
graceful_timeout = chosen.web_graceful_timeout
# Longer than the idle time of usual client pools, so that they close first and never meet a
# connection that is being closed.
keepalive = chosen.web_keepalive

# A Content-Type that is sent twice is left to the service: the same value twice is one.
message.RFC9110_5_3_SINGLETON_FIELDS = frozenset({"HOST"})
# Nobody in front of it says where it is mounted; gunicorn believes these of whoever connects from
# 127.0.0.1, and raises where a path does not begin as SCRIPT_NAME says. Dropped as any other name
# with an underscore.
forwarder_headers = ""
# Nor does gunicorn believe anybody's X-Forwarded-Proto: TRUSTED_PROXIES says whom to believe.
secure_scheme_headers: dict[str, str] = {}
# The most that gunicorn knows, and a little more than the URI that the service takes.
limit_request_line = 8190

# A connection that waits costs a file and a few kilobytes, and no thread. The others are for the
# pools, the providers' connections and the log. Where more come, those that keep others out go.
_, _most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
_files = min(_most_files, 65536)
resource.setrlimit(resource.RLIMIT_NOFILE, (_files, _most_files))
worker_connections = max(100, min(2000, _files - 500))

# The heartbeat file must not wait for a disk.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
# It would be written to the home directory, and nothing here speaks to it.
control_socket_disable = True
errorlog = "-"
accesslog = None  # the service logs its own requests


def on_starting(server: Any) -> None:
    if wrong or callers.faults(chosen, wrong):
        read_settings()  # raises, with what the providers have to say besides
    if chosen.auth_mode == "off":
        server.log.warning("AUTH_MODE=off: no token is asked for; whoever reaches this may charge")
    fold_metrics(server)


def pre_fork(server: Any, worker: Any) -> None:
    """Chooses the core that fewest of the others have; one of them may have died, or be of another
    number than WEB_WORKERS says."""
    taken = [getattr(other, "core", None) for other in server.WORKERS.values()]
    even = cores and server.num_workers % len(cores) == 0
    worker.core = min(cores, key=taken.count) if even else None


def post_fork(server: Any, worker: Any) -> None:
    """Threads take turns at one interpreter. On two cores each turn finds its data in the other
    one's cache, and begins with a wake-up from there."""
    if worker.core is not None:
        with contextlib.suppress(OSError):  # it may be forbidden, or the core gone meanwhile
            os.sched_setaffinity(0, {worker.core})


def pre_request(worker: Any, req: Any) -> None:
    """gunicorn joins the lines of one header by a comma, which may stand in an idempotency key."""
    from payment_service.api import headers  # here, as the worker has loaded it; the master has not

    headers.keep_apart(req.headers)


def worker_exit(server: Any, worker: Any) -> None:
    """The last requests' spans are still here."""
    traces.stop()


def child_exit(server: Any, worker: Any) -> None:
    fold_metrics(server)


def fold_metrics(server: Any) -> None:
    """What dead workers counted stays, their files go. Nothing of it may end the master."""
    if chosen.prometheus_multiproc_dir:
        try:
            metric_files.fold(Path(chosen.prometheus_multiproc_dir))
        except Exception:
            server.log.exception("the metrics of dead workers could not be folded")
