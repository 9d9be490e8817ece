"""A real Prometheus over a real receiver, with deploy/'s own configuration and alerts: ``python -m tests.deploy.prometheus PROMETHEUS``.

The receiver opens its metrics to the token that make_secrets.py made for Prometheus and to no stranger. Every alert must be evaluated without
an error and stay silent while the receiver is well, and the one for a receiver that is gone must notice when it is. Addresses, paths and
intervals are the only words of the files that are changed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.support.kubernetes import DEPLOY
from tests.support.serve import Serve

SECONDS = 120


class Prometheus:
    """The process, asked over its HTTP API."""

    def __init__(self, program: str, config: Path, directory: Path) -> None:
        self.log = directory / "prometheus.log"
        command = [program, f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}", "--web.listen-address=127.0.0.1:0"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.address = self.until("it listens", lambda: re.findall(r'"Listening on" address=(\S+)', self.log.read_text()))[0]
        self.until("it is ready", lambda: "Server is ready" in self.log.read_text())

    def until(self, what: str, ask: Callable[[], Any]) -> Any:
        """Wait until something is found."""
        deadline = time.monotonic() + SECONDS
        while not (found := ask()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"Prometheus: not within {SECONDS} s: {what}\n{self.log.read_text()}")
            time.sleep(0.1)
        return found

    def ask(self, path: str) -> Any:
        with urlopen(f"http://{self.address}/api/v1/{path}", timeout=30) as answer:
            return json.load(answer)["data"]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)


def replaced(text: str, **words: str) -> str:
    """Put other words in the place of those that have to be there."""
    for old, new in words.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def evaluated(prometheus: Prometheus) -> list[dict[str, Any]]:
    """All alerts, once each was evaluated."""
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    return rules if all(rule["health"] != "unknown" for rule in rules) else []


def main() -> None:
    """Start both, ask, stop the receiver, ask again."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        secrets, rules, config = directory / "secrets", directory / "spanhouse.rules.yaml", directory / "prometheus.yml"
        subprocess.run([sys.executable, "-I", str(DEPLOY / "make_secrets.py"), str(secrets)], check=True)
        rules.write_text(replaced((DEPLOY / "alerts/spanhouse.rules.yaml").read_text(), **{"interval: 30s": "interval: 1s"}))
        with Serve(directory / "data", "--token-file", str(secrets / "tokens")) as serve:
            words = {"receiver:4318": serve.http, "/run/secrets/prometheus_token": str(secrets / "prometheus.token")}
            words |= {"/etc/prometheus/rules": str(directory), "scrape_interval: 15s": "scrape_interval: 1s"}
            config.write_text(replaced((DEPLOY / "prometheus/prometheus.yml").read_text(), **words))
            prometheus = Prometheus(sys.argv[1], config, directory)
            try:
                prometheus.until("the receiver's metrics are there", lambda: prometheus.ask("query?query=spanhouse_build_info")["result"])
                # From here on, no evaluation was before the metrics.
                seen = time.time()
                prometheus.until("it evaluates the alerts", lambda: prometheus.ask(f"query?query=timestamp(up)>{seen + 2}")["result"])
                alerts = prometheus.until("every alert was evaluated", lambda: evaluated(prometheus))
                assert all(rule["health"] == "ok" for rule in alerts), alerts
                assert not [rule for rule in alerts if rule["state"] != "inactive"], alerts
                serve.stop()
                gone = prometheus.until("it notices that the receiver is gone", lambda: prometheus.ask("alerts")["alerts"])
            finally:
                prometheus.stop()
    assert {alert["labels"]["alertname"] for alert in gone} == {"SpanhouseNotScraped"}, gone
    print(f"Prometheus evaluates {len(alerts)} alerts: silent while a receiver is well, one pending when it is gone")


if __name__ == "__main__":
    main()
