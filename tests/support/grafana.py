"""What Grafana and its ClickHouse plugin make of a dashboard's query before a server sees it. Never shipped.

The macros are those of the plugin's 4.x: ``$__conditionalAll`` is replaced in the browser, before variables; the others by its backend, after.
``python -m tests.support.grafana`` prints the dashboards' PromQL as rules, for promtool to check.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ALL = "$__all"
_CONDITIONAL = "$__conditionalAll("
_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewed:
    """What a dashboard is looked at with.

    Attributes:
        since, until: the time range, in Unix seconds.
        interval: seconds between two points.
        variables: what is chosen, by variable; ``ALL`` for everything.
    """

    since: int
    until: int
    interval: int = 60
    variables: Mapping[str, Sequence[str]]

    def sql(self, text: str) -> str:
        """The statement that is sent."""
        text = self._conditional(text)
        text = _VARIABLE.sub(lambda found: self._variable(found[1], found[2]), text)
        text = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= toDateTime({self.since}) AND \1 <= toDateTime({self.until})", text)
        text = re.sub(r"\$__timeInterval\((\w+)\)", rf"toStartOfInterval(toDateTime(\1), INTERVAL {self.interval} second)", text)
        for macro, value in {
            "fromTime": f"toDateTime({self.since})",
            "toTime": f"toDateTime({self.until})",
            "interval_s": str(self.interval),
        }.items():
            text = re.sub(rf"\$__{macro}\b", value, text)
        assert "$" not in text, f"a macro or variable is left: {text}"
        return text

    def _conditional(self, text: str) -> str:
        while (at := text.rfind(_CONDITIONAL)) >= 0:
            begin = at + len(_CONDITIONAL)
            end = comma = depth = 0
            for place in range(begin, len(text)):
                if text[place] == "," and depth == 0:
                    comma = place
                if text[place] == ")" and depth == 0:
                    end = place
                    break
                depth += {"(": 1, ")": -1}.get(text[place], 0)
            chosen = self.variables[text[comma + 1 : end].strip().removeprefix("$")]
            text = text[:at] + ("1=1" if list(chosen) == [ALL] else text[begin:comma]) + text[end + 1 :]
        return text

    def _variable(self, name: str, style: str | None) -> str:
        assert style == "singlequote", f"{name} would stand in the statement without quotes"
        return ",".join("'" + value.replace("'", "\\'") + "'" for value in self.variables[name])


def expressions(dashboards: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The PromQL of all panels, with its variables."""
    for dashboard in dashboards:
        for panel in dashboard["panels"]:
            yield from (target["expr"] for target in panel["targets"] if target["datasource"]["type"] == "prometheus")


if __name__ == "__main__":
    files = sorted((Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards").glob("*.json"))
    texts = [
        text.replace("$__rate_interval", "1m").replace("$instance", ".*") for text in expressions(json.loads(file.read_text()) for file in files)
    ]
    rules = [{"record": f"dashboard:expression{number}", "expr": text} for number, text in enumerate(texts)]
    print(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}))
