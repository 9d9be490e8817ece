"""Forms of a model's name by which its price is found.

Names are compared in lower case and with ``.`` between digits as ``-``. A name has shorter forms: without what names its vendor or host, then without
dates and revisions at its end. The longest form that has a price counts, of a store's prices first; earlier days than its first are left to the next.
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
"""A vendor, a host that charges the vendor's price, a gateway, or a region, before a name; or the begin of a path at AWS or Google."""
_BEDROCK: Final = re.compile(
    r"(?:(?:us|us-gov|eu|apac|jp|au|ca|global)\.)?(?:ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen)\.(?=[a-z])"
)
"""A region and a vendor before a name of Amazon Bedrock."""
_BEDROCK_REVISION: Final = re.compile(r"(?:-v\d+|-\d(?=:))?(?::\d+)?(?::\d+k)?\Z")
"""A revision, and the size of a context, at the end of such a name."""
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
"""Begins the name of a tuned model, whose price is not that of the model it was made from; owner and name of the tuned one follow after colons."""
_POINT: Final = re.compile(r"(?<=\d)\.(?=\d)")


def names(model: str) -> tuple[str, ...]:
    """Return the forms of a model's name, the longest first, as prices are found by them.

    Args:
        model: its name as spans have it.
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
    """Return a name as it is compared."""
    return _POINT.sub("-", name)
