"""gunicorn's threaded worker, without a thread for whoever sends or reads slowly.

gunicorn's own gives each connection with something to read a thread, which then waits for the rest;
its newest version has no setting against that. Here the main thread reads what comes, without
waiting, and hands a request to a thread once all of it is there. What a client does not take of its
answer waits without a thread, too.

Not here, because this service has no use for it: TLS, HTTP/2, sendfile, gunicorn's access log and
its hook after a request.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.http import wsgi
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, ThreadWorker

from payment_service.bounds import READ_SECONDS, Patience, of_route
from payment_service.serving.connection import Connection, TooManyOpen, waiting_at
from payment_service.serving.incoming import Stage, decoded
from payment_service.serving.outgoing import AnswerInPieces, Pieces
from payment_service.serving.refusals import TooSlow, answer_to
from payment_service.telemetry.metrics import CUT_CONNECTIONS

RECEIVE = 64 * 1024
SEND_BUFFER = 128 * 1024
"""Bytes; more than nearly every answer. By itself the kernel keeps 3 MB for whoever reads nothing,
a gigabyte for a few hundred of them."""
LOOK_SECONDS = 0.25
"""How often it is looked whose time is over: often enough for times of seconds, and rare enough
that looking at thousands of connections costs nothing."""
LINGER_SECONDS = 2.0
"""How long a closed connection is read on, so that the client gets the answer and not a reset."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class PatientWorker(ThreadWorker):
    """Serves WSGI apps over HTTP/1."""

    alive: bool
    nr_conns: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What waits in the poller, the longest-waiting first. The rest has a thread.
        self._reading: dict[Connection, None] = {}
        self._writing: dict[Connection, None] = {}
        self._kept: dict[Connection, None] = {}
        self._lingering: dict[Connection, None] = {}
        self._usual = Patience(READ_SECONDS, READ_SECONDS)
        self._looked = 0.0

    def run(self) -> None:
        if settings := getattr(self.wsgi, "extensions", {}).get("settings"):
            self._usual = Patience(*[settings.request_read_seconds] * 2)
        for listener in self.sockets:  # from which its connections have it
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        super().run()

    # -- in the main thread: connections come, wait and go

    def accept(self, listener: socket.socket) -> bool:
        """Whether a connection waited there; it is let in, or another one made room for it."""
        try:
            conn = waiting_at(listener, self.cfg)
        except TooManyOpen:
            return self._make_room()
        if conn is None:
            return False
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        self._wait(conn, self._reading, self._usual.read)
        return True

    def served(self) -> int:
        """Connections whose request a thread has, or that wait for their next one."""
        return self.nr_conns - len(self._reading) - len(self._writing) - len(self._lingering)

    def _make_room(self) -> bool:
        """Closes the connection that is missed least, if there is one; of those that keep others
        out the oldest."""
        for group in (self._lingering, self._reading, self._writing, self._kept):
            if conn := next(iter(group), None):
                self._cut(conn, "crowded")
                return True
        return False

    def _wait(self, conn: Connection, group: dict[Connection, None], seconds: float) -> None:
        """Puts the connection among `group`, for at most that many seconds."""
        events = selectors.EVENT_WRITE if group is self._writing else selectors.EVENT_READ
        if conn.group is None:
            self.poller.register(conn.sock, events, partial(self._ready, conn))
        else:
            if (conn.group is self._writing) != (group is self._writing):
                self.poller.modify(conn.sock, events, partial(self._ready, conn))
            del conn.group[conn]
        group[conn] = None
        conn.group, conn.deadline = group, time.monotonic() + seconds

    def _leave(self, conn: Connection) -> None:
        """Takes the connection out of the group in which it waits."""
        if conn.group is not None:
            del conn.group[conn]
            conn.group = None
            self.poller.unregister(conn.sock)

    def _close(self, conn: Connection) -> None:
        self._leave(conn)
        self.nr_conns -= 1
        conn.sock.close()
        if conn.answer:
            conn.answer.close()

    def _cut(self, conn: Connection, reason: str) -> None:
        """Closes the connection at once; what was not sent yet is dropped."""
        CUT_CONNECTIONS.labels(reason).inc()
        conn.reset_at_close()
        self._close(conn)

    def _ready(self, conn: Connection, sock: socket.socket) -> None:
        if conn.group is self._writing:
            self._step(conn, self._write)
        elif conn.group is not None:  # else it was closed in this very round
            self._step(conn, self._read)

    def _step(self, conn: Connection, step: Callable[[Connection], None]) -> None:
        try:
            step(conn)
        except OSError:
            self._close(conn)
        except Exception:
            self.log.exception("a connection is given up")
            self._close(conn)

    def _read(self, conn: Connection) -> None:
        try:
            data = conn.sock.recv(RECEIVE)
        except BlockingIOError:
            return
        if conn.group is self._lingering:
            conn.discarded += len(data)
        if not data or conn.discarded > RECEIVE:
            self._close(conn)
        elif conn.group is not self._lingering:
            if conn.incoming.stage is Stage.NOTHING:
                self._wait(conn, self._reading, self._usual.read)
            conn.incoming.feed(data)
            self._look_at(conn)

    def _look_at(self, conn: Connection) -> None:
        """Bytes came: once they are a request, a thread gets it."""
        had_head = conn.incoming.stage is Stage.BODY
        try:
            whole = conn.incoming.is_whole()
        except Exception as error:
            self._refuse(conn, error)
            self._go_on(conn)
            return
        if whole:
            self._leave(conn)
            self.enqueue_req(conn)
        elif conn.incoming.stage is Stage.BODY and not had_head:
            patience = self._patience(conn.incoming.request)
            conn.deadline += patience.read - self._usual.read
            if conn.incoming.expects_continue:
                conn.sock.send(CONTINUE)

    def _patience(self, request: Any) -> Patience:
        return of_route(self.wsgi, request.path, request.method, self._usual)

    def finish_request(self, conn: Connection, fs: Future[None]) -> None:
        """Called when a thread has done its part of a request."""
        if fs.cancelled() or fs.exception():
            if conn.answer:  # without chunks a plain end would say that it was whole
                conn.reset_at_close()
            self._close(conn)
        else:
            self._step(conn, self._go_on)

    def _go_on(self, conn: Connection) -> None:
        """Waits for what comes next: that the client takes its answer, a request, or its end."""
        if conn.answer or conn.outgoing.waiting():
            conn.unread = conn.outgoing.unread()
            self._wait(conn, self._writing, self._patience(conn.request).answer)
        elif not conn.keep:
            conn.sock.shutdown(socket.SHUT_WR)
            self._wait(conn, self._lingering, LINGER_SECONDS)
        elif conn.incoming.stage is Stage.NOTHING:
            # A client that was told "keep-alive" may be sending while this worker stops.
            linger = STOP_KEEPALIVE_LINGER
            seconds = self.cfg.keepalive if self.alive else min(linger, self.cfg.keepalive)
            self._wait(conn, self._kept, seconds)
        else:
            self._wait(conn, self._reading, self._usual.read)
            self._look_at(conn)

    def _write(self, conn: Connection) -> None:
        if conn.outgoing.flush() and conn.answer:
            self._leave(conn)
            self.enqueue_req(conn)
        else:
            self._go_on(conn)

    def murder_keepalived(self, force: bool = False) -> None:
        """gunicorn's hook in each turn of its loop: ends what has waited long enough."""
        now = time.monotonic()
        if not force and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        for group in (self._reading, self._writing, self._kept, self._lingering):
            for conn in list(group):
                if force or conn.deadline <= now:
                    self._end_wait(conn)

    def _end_wait(self, conn: Connection) -> None:
        stage = conn.incoming.stage
        if conn.group is self._writing:
            if conn.outgoing.unread() < conn.unread:
                self._step(conn, self._go_on)
            else:
                self._cut(conn, "answer")
        elif conn.group is not self._reading:
            self._close(conn)
        elif stage is Stage.NOTHING:
            self._cut(conn, stage)
        else:
            CUT_CONNECTIONS.labels(stage).inc()
            self._step(conn, self._too_slow)

    def _too_slow(self, conn: Connection) -> None:
        self._refuse(conn, TooSlow())
        self._go_on(conn)

    def murder_pending(self) -> None:
        """gunicorn has this beside murder_keepalived; here one function ends both kinds."""

    def _cap_keepalive(self, deadline: float) -> None:
        """gunicorn's hook when it stops: a request that is not here by then is too late. It keeps
        its listeners until the last answer, and whoever comes meanwhile would be reset then."""
        for listener in self.sockets:
            while PatientWorker.accept(self, listener):
                pass
            listener.close()
        for conn in (*self._kept, *self._reading):
            conn.deadline = min(conn.deadline, deadline)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(min(timeout, LOOK_SECONDS))

    # -- in a thread of the pool

    def handle(self, conn: Connection) -> None:
        """Begins the answer, or goes on with it, until it is over or the client takes no more.
        What it raises closes the connection."""
        try:
            if conn.answer is None:
                conn.answer = self._begin(conn)
            if conn.answer.go_on():
                conn.keep, conn.answer = conn.answer.keeps_connection(), None
        except OSError:
            raise  # the client is gone
        except (Exception, SystemExit) as error:
            if conn.answer and conn.answer.begun():
                self.log.exception("an answer broke off")
                raise
            conn.answer = None
            self._refuse(conn, error)

    def _begin(self, conn: Connection) -> AnswerInPieces:
        conn.request, body = conn.incoming.take()
        conn.request.body = decoded(conn.request, body)
        self.cfg.pre_request(self, conn.request)
        response, environ = wsgi.create(
            conn.request, conn.outgoing, conn.client, conn.server, self.cfg
        )
        environ["wsgi.multithread"] = True
        environ["wsgi.file_wrapper"] = Pieces
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        if not self.alive or not self.cfg.keepalive:
            response.force_close()
        return AnswerInPieces(response, self.wsgi(environ, response.start_response), conn.outgoing)

    # -- in either

    def _refuse(self, conn: Connection, error: BaseException) -> None:
        """Answers bytes that are no request, and closes the connection after that."""
        conn.keep = False
        conn.outgoing.sendall(answer_to(error))
        conn.outgoing.flush()
