"""Verbs that compare versions: compare, bisect."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from spanhouse.cli.option import Option
from spanhouse.cli.verb_table.shared_options import BY, READ, SERVICE, SINCE, WHERE
from spanhouse.cli.verb_table.verb import Argument, Verb

COMPARE: Final = Verb(
    name="compare",
    summary="compare versions: is the new one worse?",
    module="compare",
    extra="compare",
    arguments=(
        Argument(name="base", help="version to compare against (default: list all versions)", optional=True),
        Argument(name="new", help="version to judge", optional=True),
    ),
    fixed_options=(
        BY,
        SERVICE,
        WHERE,
        SINCE,
        Option(
            name="per",
            metavar="KEY",
            default="",
            shown_default="no split",
            help="key to split the traces by, to say where it got worse: name, service, model, ...",
        ),
        Option(
            name="metric",
            metavar="KEY,...",
            default="",
            shown_default="none",
            help="further numbers to compare: metadata keys, span.attributes.KEY, first-token; KEY:higher if more is better",
        ),
        Option(name="stratify", metavar="KEY", default="name", help="key by which like is compared with like; none compares all with all"),
        Option(name="plot", kind=Path, metavar="FILE", shown_default="none", help="file for a picture of the comparison: .png, .svg or .pdf"),
        Option(
            name="fail-on-regression",
            kind=bool,
            default=False,
            help="be a gate: exit with 1 when the new version is worse, with 4 when that is undecided",
        ),
        Option(
            name="allow",
            metavar="NAME=LIMIT,...",
            default="",
            shown_default="no rise",
            help="rises that --fail-on-regression lets pass, in percent, for errors in points: "
            "errors, p50, p95 (latency), first-token, tokens, cost; such as errors=0.5%,p95=10%",
        ),
        *READ,
    ),
    examples=(
        "spanhouse compare --by commit",
        "spanhouse compare --by commit --service pay",
        "spanhouse compare --by commit 3f2a1c0 9b8e7d6 --per name",
        "spanhouse compare 1.0.0 1.1.0 --where \"metadata.mlflow.source.type = 'production'\" --since 7d",
        "spanhouse compare 1.0.0 1.1.0 --plot versions.png",
        "spanhouse compare 1.0.0 1.1.0 --fail-on-regression --allow p95=10%,errors=0.5% --format markdown >> $GITHUB_STEP_SUMMARY",
    ),
)
BISECT: Final = Verb(
    name="bisect",
    summary="find the version at which the error rate or the latency changed",
    module="bisect",
    extra="compare",
    fixed_options=(
        BY,
        SERVICE,
        WHERE,
        SINCE,
        Option(
            name="repository",
            kind=Path,
            metavar="DIR",
            help="git clone whose history orders the commits; commits that it lacks are ordered by their first traces",
            shown_default="the current directory",
        ),
        *READ,
    ),
    examples=(
        "spanhouse bisect --by commit --since 30d",
        "spanhouse bisect --by commit --service pay",
        "spanhouse bisect --by git.commit --repository ~/src/shop",
    ),
)
