"""What of a remote's URL leaves the machine."""

from __future__ import annotations

import pytest

from spanhouse.processor.git.remotes import browser_url, scrub

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("url", "scrubbed", "page"),
    [
        ("https://github.com/o/r.git", "https://github.com/o/r.git", "https://github.com/o/r"),
        (f"https://x-access-token:{SECRET}@github.com/o/r.git", "https://github.com/o/r.git", "https://github.com/o/r"),
        (f"https://{SECRET}@gitlab.com/g/sub/r.git/", "https://gitlab.com/g/sub/r.git/", "https://gitlab.com/g/sub/r"),
        (f"https://user:p@{SECRET}@github.com/o/r", "https://github.com/o/r", "https://github.com/o/r"),
        ("git@github.com:o/r.git", "git@github.com:o/r.git", "https://github.com/o/r"),
        (f"user:{SECRET}@bitbucket.org:o/r.git", "bitbucket.org:o/r.git", "https://bitbucket.org/o/r"),
        ("ssh://git@codeberg.org:22/o/r.git", "ssh://codeberg.org:22/o/r.git", "https://codeberg.org/o/r"),
        ("ssh://git@ssh.github.com:443/o/r.git", "ssh://ssh.github.com:443/o/r.git", "https://github.com/o/r"),
        ("git@git.sr.ht:~u/r", "git@git.sr.ht:~u/r", "https://git.sr.ht/~u/r"),
        ("git@ssh.dev.azure.com:v3/org/project/r", "git@ssh.dev.azure.com:v3/org/project/r", "https://dev.azure.com/org/project/_git/r"),
        ("https://org@dev.azure.com/org/project/_git/r", "https://dev.azure.com/org/project/_git/r", "https://dev.azure.com/org/project/_git/r"),
        ("https://git.example.com:8443/o/r.git", "https://git.example.com:8443/o/r.git", "https://git.example.com:8443/o/r.git"),
        (f"https://git.example.com/o/r?token={SECRET}#x", "https://git.example.com/o/r", "https://git.example.com/o/r"),
        ("git@github.com:team@x/r.git", "git@github.com:team@x/r.git", "https://github.com/team@x/r"),
        ("https://[::1]:8443/o/r", "https://[::1]:8443/o/r", "https://[::1]:8443/o/r"),
    ],
)
def test_a_url_keeps_its_host_and_path_and_loses_its_credentials(url: str, scrubbed: str, page: str) -> None:
    assert scrub(url) == scrubbed
    assert browser_url(url) == page


@pytest.mark.parametrize(
    "url",
    [
        "/srv/git/r.git",
        "../r",
        "./r",
        "~/r",
        "r",
        "file:///srv/git/r.git",
        "C:/git/r",
        "C:\\git\\r",
        "ext::sh -c x",
        "",
        f"https://user:{SECRET}/x@github.com/o/r",
        f"https://user:12/{SECRET}@github.com/o/r",
        f"https://git.example.com\n{SECRET}/x",
    ],
)
def test_local_paths_and_unknown_forms_stay_on_the_machine(url: str) -> None:
    assert scrub(url) is None
    assert browser_url(url) is None
