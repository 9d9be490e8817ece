"""Forms of a model's name, for the lookup of its price.

Names are compared in lower case and with ``.`` between digits as ``-``. A name has shorter forms: without the prefix of its vendor or host, then
without dates and revisions at its end. The longest form that has a price counts, in a store's prices first; for days before its first price the next
form counts.
"""

from __future__ import annotations

import re
from typing import Final

_VENDORS: Final = (
    "openai|azure|azure_ai|azure_openai|anthropic|google|google-gla|google-vertex|gemini|vertex|vertex_ai|vertexai|bedrock|bedrock_converse|"
    "aws|amazon|mistral|mistralai|cohere|cohere_chat|deepseek|xai|x-ai|groq|together|together_ai|fireworks|fireworks_ai|voyage|voyageai|"
    "openrouter|litellm|litellm_proxy|models|publishers|converse|invoke|us|eu|global"
)
_PREFIX: Final = re.compile(rf"(?:(?:{_VENDORS}|[a-z]{{2}}(?:-gov)?-[a-z]+-\d)[/:]|arn:[^/]*/|projects/[^/]+/locations/[^/]+/)")
"""A vendor, a host that charges the vendor's price, a gateway, or a region, before a name; or the start of a path at AWS or Google."""
_BEDROCK: Final = re.compile(
    r"(?:(?:us|us-gov|eu|apac|jp|au|ca|global)\.)?(?:ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen)\.(?=[a-z])"
)
"""A region and a vendor before a name of Amazon Bedrock."""
_BEDROCK_REVISION: Final = re.compile(r"(?:-v\d+|-\d(?=:))?(?::\d+)?(?::\d+k)?\Z")
"""A revision, and the size of a context, at the end of a name of Amazon Bedrock."""
_SUFFIX: Final = re.compile(
    r"(?:"
    r"-20\d\d-\d\d-\d\d|-20\d{6}|-\d\d-20\d\d"  # 2024-08-06, 20241022, 08-2024
    r"|@20\d{6}|@\d{3}|@latest|@default"
    r"|(?:(?<=-preview)|(?<=-exp))-\d\d-\d\d"
    r"|-\d{3,4}"  # 002, 0613, 2411
    r"|-latest|-preview|-exp|-experimental|-beta"
    r"|-v\d+:\d+(?::\d+k)?"
    r")\Z"
)
"""A date, a revision or a stage of release at the end of a name."""
_TUNED: Final = "ft:"
"""Prefix of a tuned model's name, whose price differs from its base model's; owner and name of the tuned model follow after colons."""
_POINT: Final = re.compile(r"(?<=\d)\.(?=\d)")


def names(model: str) -> tuple[str, ...]:
    """Return the forms of a model's name, the longest first.

    Args:
        model: name as in spans.
    """
    forms: dict[str, None] = {}
    form = model.strip().lower()
    stems = [form]
    if form.startswith(_TUNED):
        form = ":".join(form.split(":")[:2])
        stems.append(form)
    while found := _PREFIX.match(form):
        form = form[found.end() :]
        stems.append(form)
    if found := _BEDROCK.match(form):
        form = form[found.end() :]
        stems += [form, _BEDROCK_REVISION.sub("", form)]
    for stem in stems:
        forms[name_key(stem)] = None
    form = stems[-1]
    while found := _SUFFIX.search(form):
        form = form[: found.start()]
        forms[name_key(form)] = None
    return tuple(one for one in forms if one)


def name_key(name: str) -> str:
    """Return the form of a name that is compared."""
    return _POINT.sub("-", name)
