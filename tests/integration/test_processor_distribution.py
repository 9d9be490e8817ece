"""Applications that are installed: what pip writes down about their origin stands in for the repository that is not there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from tests.support.checkout import Checkout
from tests.support.programs import finish, start

from spanhouse.processor.sources.distribution import from_distribution

COMMIT, URL = "mlflow.source.git.commit", "mlflow.source.git.repoURL"
OTHER = "f" * 40
# A build backend of the package's own, so that nothing has to be fetched to build it.
BACKEND = """
import zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "acme_shop-1.0-py3-none-any.whl"
    info = "acme_shop-1.0.dist-info"
    files = {
        "shop/__init__.py": "",
        "shop/__main__.py": open("shop/__main__.py").read(),
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: acme-shop\\nVersion: 1.0\\n" + open("urls").read() + "\\nProject-URL: Source, https://no/header\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nGenerator: own\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/entry_points.txt": "[console_scripts]\\nshop = shop.__main__:main\\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(f"{directory}/{name}", "w") as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)
    return name
"""
APP = """
def main():
    import json
    from spanhouse.processor import configure
    print(json.dumps(dict(configure(export=False).resource.attributes)))

if __name__ == "__main__":
    main()
"""
CI = {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_SHA": OTHER, "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "other/project"}


@pytest.fixture
def checkout(checkout: Checkout) -> Checkout:
    checkout.write("pyproject.toml", '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n')
    checkout.write("backend.py", BACKEND)
    checkout.write("shop/__init__.py", "")
    checkout.write("shop/__main__.py", APP)
    checkout.write("urls", "")
    return checkout


def install(requirement: str, root: Path, directory: str = "site-packages") -> Path:
    site = root / directory
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--target", str(site), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return site


def run(site: Path, *arguments: str, **variables: str) -> dict[str, str]:
    environ = {"PYTHONPATH": str(site), **variables}
    values: dict[str, str] = json.loads(finish(start([sys.executable, *arguments], cwd=site.parent, environ=environ)))
    return values


def test_a_commit_that_pip_installed_from_is_stamped_before_that_of_the_ci_job(checkout: Checkout, tmp_path: Path) -> None:
    checkout.write(
        "urls", "Project-URL: Home page, https://example.com\nProject-URL: Source Code, https://u:s3cr3t@github.com/acme/shop/tree/main/x\n"
    )
    commit = checkout.commit()
    site = install(f"git+file://{checkout.root}", tmp_path)
    assert json.loads(next(site.glob("*.dist-info/direct_url.json")).read_text())["vcs_info"]["commit_id"] == commit
    assert (tmp_path / "shop").is_dir(), "a directory of the same name in the current one is no package"
    for arguments in (["-m", "shop"], [str(site / "bin" / "shop")]):
        values = run(site, *arguments, **CI)
        assert (values[COMMIT], values[URL]) == (commit, "https://github.com/acme/shop"), arguments
    report = json.loads(
        finish(start([sys.executable, "-m", "spanhouse.processor", "--json", "-m", "shop"], cwd=tmp_path, environ=CI | {"PYTHONPATH": str(site)}))
    )
    assert report[COMMIT]["source"] == "direct_url.json of acme_shop"
    assert report[COMMIT]["lost"] == [{"value": OTHER, "source": "GitHub Actions (GITHUB_SHA)"}]


@pytest.mark.parametrize("directory", ["layer/python", "var/task"])
def test_a_commit_is_found_wherever_pip_put_the_package(checkout: Checkout, tmp_path: Path, directory: str) -> None:
    checkout.write("urls", "Project-URL: Source, https://github.com/acme/shop\n")
    commit = checkout.commit()
    site = install(f"git+file://{checkout.root}", tmp_path / "image", directory)
    link = tmp_path / "link"
    link.symlink_to(site)
    commands = (["-m", "shop"], [str(site / "shop" / "__main__.py")], [str(site / "bin" / "shop")], [str(link / "bin" / "shop")])
    for arguments in commands:
        values = run(site, *arguments, **CI)
        assert (values[COMMIT], values[URL]) == (commit, "https://github.com/acme/shop"), arguments
    handler = (
        "import os; os.environ['AWS_LAMBDA_FUNCTION_NAME'] = 'f'; os.environ['_HANDLER'] = 'shop.__main__.main'; import shop.__main__ as m; m.main()"
    )
    assert run(site, "-c", handler, LAMBDA_TASK_ROOT=str(site))[COMMIT] == commit


def test_a_script_beside_installed_packages_is_none_of_theirs(checkout: Checkout, tmp_path: Path) -> None:
    checkout.write("urls", "Project-URL: Source, https://github.com/acme/shop\n")
    checkout.commit()
    site = install(f"git+file://{checkout.root}", tmp_path / "image", "task")
    (site / "handler.py").write_text("from shop.__main__ import main\nmain()\n")
    (site / "bin" / "run").write_text("from shop.__main__ import main\nmain()\n")
    for script in ("handler.py", "bin/run"):
        assert run(site, str(site / script), **CI)[COMMIT] == OTHER
        assert COMMIT not in run(site, str(site / script))


def test_a_link_to_the_source_with_a_commit_is_stamped(checkout: Checkout, tmp_path: Path) -> None:
    checkout.write(
        "urls", f"Project-URL: repository, https://github.com/acme/wrong\nProject-URL: source_code_link, git@github.com:acme/shop.git#{'c' * 40}\n"
    )
    values = run(install(str(checkout.root), tmp_path), "-m", "shop", **CI)
    assert (values[COMMIT], values[URL]) == ("c" * 40, "git@github.com:acme/shop.git")


def test_where_the_distribution_tells_nothing_the_ci_job_does(checkout: Checkout, tmp_path: Path) -> None:
    site = install(str(checkout.root), tmp_path)
    assert run(site, "-m", "shop", **CI)[COMMIT] == OTHER
    (site / "spanhouse-stamp.json").write_text(json.dumps({COMMIT: "e" * 40}))
    assert run(site, "-m", "shop", SPANHOUSE_STAMP_FILE=str(site / "spanhouse-stamp.json"), **CI)[COMMIT] == "e" * 40


def made_by_hand(site: Path, direct_url: str | None, metadata: str = "", record: str = "shop/web.py,,\n") -> str:
    info = site / "other_name-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text(record)
    (info / "METADATA").write_text(metadata)
    if direct_url is not None:
        (info / "direct_url.json").write_text(direct_url)
    return str(site / "shop" / "web.py")


@pytest.mark.parametrize("record", ["", "shop/web.pyc,,\n", "x/shop/web.py,,\n"])
def test_a_distribution_that_did_not_install_the_module_says_nothing_about_it(tmp_path: Path, record: str) -> None:
    direct = json.dumps({"url": "https://github.com/o/r", "vcs_info": {"vcs": "git", "commit_id": OTHER}})
    assert from_distribution(made_by_hand(tmp_path / "a/site-packages", direct, record=record)) == {}
    assert set(from_distribution(made_by_hand(tmp_path / "b/site-packages", direct))) == {COMMIT, URL}
    assert from_distribution(str(tmp_path / "no" / "shop.py")) == {}


@pytest.mark.parametrize(
    "direct_url",
    [
        *(
            "",
            "[]",
            "{}",
            "null",
            '{"url": 1, "vcs_info": {"vcs": "git", "commit_id": 2}}',
            '{"url": "file:///home/ada/shop", "dir_info": {"editable": true}}',
        ),
        '{"url": "https://example.com/shop.zip", "archive_info": {}}',
        '{"url": "/home/ada/shop", "vcs_info": {"vcs": "hg", "commit_id": "' + OTHER + '"}}',
    ],
)
def test_a_direct_url_of_another_kind_or_a_damaged_one_says_nothing(tmp_path: Path, direct_url: str) -> None:
    metadata = dedent("""\
        Metadata-Version: 2.1
        Project-URL: Documentation, https://example.com
        Project-URL: Source, /home/ada/shop
        Project-URL: broken
    """)
    assert from_distribution(made_by_hand(tmp_path / "site-packages", direct_url, metadata)) == {}
