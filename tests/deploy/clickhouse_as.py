"""Runs statements on the real engine with the configuration of deploy/clickhouse, as one of its users.

The embedded engine knows one user, ``default``. So that one gets the grants, the profile and the quota of the user that is asked for, in a process
of its own: python -m tests.deploy.clickhouse_as USER STORE, statements as a JSON array on standard input. Prints a JSON array: for each
statement its rows, or the error's code. ``MIGRATE`` and ``INSERT`` stand for what `spanhouse migrate` does, and for an insert of a receiver.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from tests.support.otlp import trace

from spanhouse.exporter.otlp.check import CheckedRequest
from spanhouse.exporter.spool.seen_requests import SeenRequests
from spanhouse.exporter.store.writer import Batch, Writer
from spanhouse.schema.settle.settle import settle_all
from spanhouse.schema.tables import migrations
from spanhouse.schema.tables.driver import execute_of

CLICKHOUSE = Path(__file__).parents[2] / "deploy/clickhouse"
VARIABLES = {
    **{f"SPANHOUSE_{user}_PASSWORD_SHA256": "0" * 64 for user in ("MIGRATE", "INGEST", "READ")},
    "SPANHOUSE_SHARD": "2",
    "SPANHOUSE_REPLICA": "clickhouse-2-1",
    "SPANHOUSE_INTERSERVER_SECRET": "secret",
    "SPANHOUSE_INTERSERVER_PASSWORD": "secret",
}
IMPROVED = ("select_from_system_db_requires_grant", "select_from_information_schema_requires_grant", "on_cluster_queries_require_cluster_grant")
"""What a server's own configuration file switches on."""


def connect(user: str, store: str, directory: Path) -> Client:
    """A connection as this user; ``default`` for one that may do anything."""
    os.environ.update(VARIABLES)
    config = ET.Element("clickhouse")
    ET.SubElement(config, "users_config").text = str(directory / "users.xml")
    improvements = ET.SubElement(config, "access_control_improvements")
    for name in IMPROVED:
        ET.SubElement(improvements, name).text = "1"
    ET.ElementTree(config).write(directory / "config.xml")
    shutil.copytree(CLICKHOUSE / "config.d", directory / "config.d")
    shutil.copytree(CLICKHOUSE / "users.d", directory / "users.d")

    users = ET.Element("clickhouse")
    if user == "default":
        default = ET.Element("default")
        for name, value in {"profile": "default", "quota": "default", "access_management": "1"}.items():
            ET.SubElement(default, name).text = value
        ET.SubElement(ET.SubElement(default, "networks"), "ip").text = "::/0"
    else:
        (default,) = ET.parse(CLICKHOUSE / "users.d/spanhouse.xml").iterfind(f"users/{user}")  # noqa: S314 our own file
        default.tag = "default"
        for password in default.findall("password_sha256_hex"):
            default.remove(password)
    ET.SubElement(default, "password")
    ET.SubElement(users, "users").append(default)
    for kind in ("profiles", "quotas"):
        ET.SubElement(ET.SubElement(users, kind), "default")
    ET.ElementTree(users).write(directory / "users.xml")
    database = "default" if user == "default" else "spanhouse"
    return clickhouse_connect.get_client(interface="chdb", path=store, database=database, chdb_options={"config-file": directory / "config.xml"})


def run(client: Client, statement: str) -> Any:
    match statement:
        case "MIGRATE":
            # The owner of the views is then the one that a server would note: whom the connection belongs to.
            client.command("SET default_view_definer = 'spanhouse_migrate'")
            applied = migrations.apply(execute_of(client))
            return [migration.id for migration in applied]
        case "INSERT":
            request = CheckedRequest(trace().SerializeToString(), 3)
            batch = Batch.of([request])
            outcomes = Writer(client, SeenRequests()).insert(batch)
            again = Writer(client, SeenRequests()).insert(Batch(bodies=batch.bodies, digests=batch.digests, doubtful=True))
            settle_all(execute_of(client))
            return [str(outcome) for outcome in (*outcomes, *again)]
        case _:
            return [list(map(str, row)) for row in client.query(statement).result_rows]


def main() -> None:
    user, store = sys.argv[1:]
    answers: list[Any] = []
    with tempfile.TemporaryDirectory() as directory:
        client = connect(user, store, Path(directory))
        for statement in json.load(sys.stdin):
            try:
                answers.append(run(client, statement))
            except DatabaseError as error:
                code = re.search(r"Code: (\d+)", str(error))
                answers.append(f"refused: {code[1] if code else error}")
                print(error, file=sys.stderr)
        client.close()
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
