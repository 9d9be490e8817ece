"""URLs of remotes: removal of credentials, and the browser's form."""

from __future__ import annotations

_SCHEMES = frozenset({"http", "https", "ssh", "git", "git+ssh", "ssh+git", "ftp", "ftps"})
_BROWSABLE = frozenset({"github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "git.sr.ht"})
_ALIASES = {
    "www.github.com": "github.com",
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
}
_AZURE, _AZURE_SSH = "dev.azure.com", "ssh.dev.azure.com"


def scrub(url: str) -> str | None:
    """Remove user, password, query and fragment from ``url``; None for URLs that must not leave the machine: local paths and unknown forms.

    The user of the scp-like form (``git@host:path``) is removed, too, unless it is ``git``: that names nobody, and the URL needs it.
    """
    parts = _split(url)
    if parts is None:
        return None
    scheme, user, host, path = parts
    if scheme:
        return f"{scheme}://{host}{path}"
    return f"{user}@{host}:{path}" if user == "git" else f"{host}:{path}"


def browser_url(url: str) -> str | None:
    """Return the HTTPS address of a repository's page, without ``.git``, on hosts known to have one; otherwise ``url``, scrubbed."""
    parts = _split(url)
    if parts is None:
        return None
    scheme, _, host, path = parts
    name = host.lower()
    if scheme != "http":
        # The page is not on the port of SSH.
        name = name.partition(":")[0]
    name = _ALIASES.get(name, name)
    path = path.strip("/").removesuffix(".git").strip("/")
    steps = path.split("/")
    if name == _AZURE_SSH and len(steps) == 4 and steps[0] == "v3":
        return f"https://{_AZURE}/{steps[1]}/{steps[2]}/_git/{steps[3]}"
    if name == _AZURE and len(steps) >= 3:
        return f"https://{_AZURE}/{path}"
    if name in _BROWSABLE and len(steps) >= 2:
        return f"https://{name}/{path}"
    return scrub(url)


def _split(url: str) -> tuple[str, str, str, str] | None:
    """Split a URL into scheme ('' for the scp-like form), user, host with port, and path."""
    url = url.strip()
    if not url or any(letter.isspace() or not letter.isprintable() for letter in url):
        return None
    scheme, separator, rest = url.partition("://")
    if separator:
        scheme = scheme.lower()
        if scheme not in _SCHEMES:
            return None
        authority, slash, path = rest.partition("/")
        if "@" in path and "@" not in authority and ":" in authority:
            # Either a port, or the start of a password with a slash in it: refused, since it might leak.
            return None
        user, _, host = authority.rpartition("@")
        for mark in "?#":
            path = path.partition(mark)[0]
            host = host.partition(mark)[0]
        return (scheme, user, host, slash + path) if _is_host(host) else None
    return _split_scp(url)


def _split_scp(url: str) -> tuple[str, str, str, str] | None:
    if "\\" in url or url[0] in "/.~":
        return None
    credentials, at, address = url.rpartition("@")
    if ":" not in address and ":" not in url.partition("@")[0]:
        # The last @ belongs to the path, and there is no password before the first.
        credentials, at, address = url.partition("@")
    host, colon, path = address.partition(":")
    if not colon or not path or not _is_host(host) or (not at and len(host) == 1):
        # host:path needs a colon; a single letter before it is a drive of Windows.
        return None
    return "", credentials.partition(":")[0], host, path


def _is_host(host: str) -> bool:
    name, colon, port = host.partition(":")
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        return bool(name) and all(letter in "0123456789abcdefABCDEF:." for letter in name) and (not port or port[1:].isdigit())
    return bool(name) and name.replace("-", "").replace(".", "").replace("_", "").isalnum() and (not colon or port.isdigit())
