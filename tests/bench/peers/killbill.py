"""Kill Bill: its WAR and the DDL in its jars, on a Tomcat, all from Maven Central.

Tomcat as a zip from there too: it is what Kill Bill's own images run on, it comes by the same
client as the WAR, and needs neither root nor a distribution. 9, because Kill Bill 0.22 is written
against javax.servlet, which 10 has renamed.
"""

from __future__ import annotations

import contextlib
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from tests.bench import yardstick
from tests.bench.peers.contract import Act, Peer, Running, Unavailable
from tests.bench.peers.fetching import maven
from tests.bench.peers.programs import Address, a_database, a_port, program
from tests.bench.world import Servers

WAR = "org.kill-bill.billing:killbill-profiles-killbill:0.22.26:war"
TOMCAT = "org.apache.tomcat:tomcat:9.0.98:zip"
DATABASE = "killbill"
FIRST_DDL = "org/killbill/billing/util/ddl-postgresql.sql"
ACCOUNTS = 200
"""Kill Bill locks the account of a payment. Making an account takes it three requests."""

WARM_SECONDS = 30.0
"""Until the JVM has compiled what a payment runs through."""

HEADERS = {
    "Authorization": "Basic YWRtaW46cGFzc3dvcmQ=",  # admin:password, as in its shiro.ini
    "X-Killbill-ApiKey": "bench",
    "X-Killbill-ApiSecret": "bench",
    "X-Killbill-CreatedBy": "bench",
    "Content-Type": "application/json",
    "Accept": "application/json",
}
# What the WAR brings is for its own tests; the queues are as there. The secret of a tenant is
# hashed at each request, as shipped 200,000 times, which makes some ten requests a second.
PROPERTIES = """\
org.killbill.dao.url=jdbc:postgresql://127.0.0.1:{address.port}/{address.database}
org.killbill.dao.user={address.user}
org.killbill.dao.password={address.password}
org.killbill.billing.osgi.dao.url=jdbc:postgresql://127.0.0.1:{address.port}/{address.database}
org.killbill.billing.osgi.dao.user={address.user}
org.killbill.billing.osgi.dao.password={address.password}
org.killbill.osgi.bundle.install.dir={directory}/bundles
org.killbill.server.multitenant=true
org.killbill.server.test.mode=false
org.killbill.server.updateCheck.skip=true
org.killbill.security.shiroNbHashIterations=1
org.killbill.notificationq.main.queue.mode=STICKY_POLLING
org.killbill.persistent.bus.main.queue.mode=STICKY_EVENTS
org.killbill.persistent.bus.external.queue.mode=STICKY_EVENTS
org.killbill.persistent.bus.external.inMemory=true
"""
# No port for shutting down. Kept connections stay: as shipped they are closed after 100 requests.
SERVER_XML = """\
<Server port="-1">
  <Service name="Catalina">
    <Connector address="127.0.0.1" port="{port}" protocol="HTTP/1.1" maxKeepAliveRequests="-1"/>
    <Engine name="Catalina" defaultHost="localhost">
      <Host name="localhost" autoDeploy="false" deployOnStartup="false">
        <Context path="" docBase="{war}"/>
      </Host>
    </Engine>
  </Service>
</Server>
"""
# What Tomcat's own script opens; Guice writes classes into java.lang; and Felix, which runs the
# plugins, takes the place of Tomcat's factory of URLs, and asks Java's own handlers by reflection.
OPENED = (
    *("java.lang", "java.io", "java.util", "java.util.concurrent", "java.net"),
    *(f"sun.net.www.protocol.{name}" for name in ("file", "ftp", "http", "https", "jar")),
)


def _fetch(folder: Path) -> None:
    for artifact, name in ((WAR, "war"), (TOMCAT, "tomcat")):
        file = maven(artifact, folder)
        if not (folder / name).exists():
            fresh = folder / f"{name}.new"
            with zipfile.ZipFile(file) as archive:
                archive.extractall(fresh)
            fresh.rename(folder / name)


@contextlib.contextmanager
def _start(servers: Servers, folder: Path, directory: Path) -> Iterator[Running]:
    directory = directory / "killbill"
    port = a_port(directory)
    address = a_database(servers, DATABASE)
    _make_tables(servers, folder / "war", directory)
    url = f"http://127.0.0.1:{port}"
    command = _command(folder, directory, port, address)
    log = folder / "program.log"
    with program(command, directory, log, f"{url}/1.0/healthcheck") as pid:
        yield Running(
            url=url,
            database=DATABASE,
            parts={"java": pid},
            acts=[_purchase(_accounts(url))],
            reads="SELECT '/1.0/kb/payments/' || id FROM payments",
            headers=HEADERS,
            warm_seconds=WARM_SECONDS,
        )


def _make_tables(servers: Servers, war: Path, directory: Path) -> None:
    """All DDL of its jars. The first makes an event trigger, which takes a superuser."""
    found = {}
    for jar in (war / "WEB-INF/lib").glob("killbill-*.jar"):
        with zipfile.ZipFile(jar) as archive:
            for name in archive.namelist():
                if name.endswith("/ddl.sql") or name == FIRST_DDL:
                    found[name] = archive.read(name).decode()
    servers.query(DATABASE, found.pop(FIRST_DDL))
    file = directory / "ddl.sql"
    file.write_text("\n".join(found.values()))
    psql = ("psql", "-qX", "-v", "ON_ERROR_STOP=1", "-f", str(file))
    done = yardstick.program(servers, DATABASE, *psql, timeout=300)
    if done.returncode != 0:
        raise Unavailable(f"its tables can't be made: {done.stderr.strip().splitlines()[-1]}")


def _command(folder: Path, directory: Path, port: int, address: Address) -> list[str]:
    """Java with Tomcat's own main class: its script would only look for both."""
    home = next((folder / "tomcat").iterdir())
    for name in ("conf", "logs", "temp", "work", "webapps", "bundles"):
        (directory / name).mkdir()
    shutil.copy(home / "conf/web.xml", directory / "conf")
    (directory / "conf/server.xml").write_text(SERVER_XML.format(port=port, war=folder / "war"))
    properties = directory / "killbill.properties"
    properties.write_text(PROPERTIES.format(address=address, directory=directory))
    opened = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in OPENED]
    return [
        *("java", "-Xms1g", "-Xmx1g", "-Duser.timezone=GMT", *opened),
        f"-Dcatalina.home={home}",
        f"-Dcatalina.base={directory}",
        f"-Djava.io.tmpdir={directory / 'temp'}",
        f"-Dorg.killbill.server.properties={properties.as_uri()}",
        *("-cp", f"{home / 'bin/bootstrap.jar'}:{home / 'bin/tomcat-juli.jar'}"),
        *("org.apache.catalina.startup.Bootstrap", "start"),
    ]


def _accounts(url: str) -> list[str]:
    """Ids of new accounts of a new tenant, each with a method of the external payment's plugin.

    One after the other: two payment methods made at once without a key meet.
    """
    with requests.Session() as session:
        session.headers.update(HEADERS)

        def make(path: str, body: dict[str, Any]) -> str:
            answer = session.post(f"{url}/1.0/kb{path}", json=body, timeout=60)
            if answer.status_code != 201:
                raise Unavailable(f"POST {path} was answered {answer.status_code}")
            return answer.headers["Location"].rstrip("/").rsplit("/", 1)[-1]

        make("/tenants", {"apiKey": "bench", "apiSecret": "bench"})
        found = []
        for number in range(ACCOUNTS):
            account = make("/accounts", {"name": f"rider {number}", "currency": "INR"})
            method = {"pluginName": "__EXTERNAL_PAYMENT__", "pluginInfo": {}}
            make(f"/accounts/{account}/paymentMethods?isDefault=true", method)
            found.append(account)
    return found


def _purchase(accounts: list[str]) -> Act:
    return Act(
        name="Kill Bill 0.22",
        path="/1.0/kb/accounts/{pick}/payments",
        picks=accounts,
        body='{"transactionType": "PURCHASE", "amount": 10.50, "currency": "INR", '
        '"paymentExternalKey": "{n}", "transactionExternalKey": "{n}"}',
        done="SELECT count(*) FROM payment_transactions WHERE transaction_status = 'SUCCESS'",
    )


PEER = Peer("Kill Bill", _fetch, _start)
