"""The house rules that a machine can hold: directions, purity, errors, and that docs are complete."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from signaling.settings import Settings, environment_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("mediaserver", "signaling", "recorder", "storage")
README = (ROOT / "README.md").read_text()
DEPENDENCIES = (ROOT / "docs/dependencies.md").read_text()

# Protocol, timing and lifecycle code takes bytes and times and gives values: no I/O, no clock.
PURE = (
    "mediaserver/rtp",
    "mediaserver/forwarding",
    "mediaserver/sdp",
    "recorder/lifecycle.py",
    "recorder/reorder.py",
    "recorder/depacketize",
    "recorder/timeline.py",
    "recorder/chunks/alignment.py",
    "recorder/chunks/arrivals.py",
    "recorder/chunks/contents.py",
    "recorder/chunks/fmp4.py",
    "recorder/chunks/lane.py",
    "recorder/chunks/part_clock.py",
    "recorder/chunks/pauses.py",
    "recorder/chunks/pieces.py",
    "recorder/chunks/run_reader.py",
    "recorder/chunks/sniffing.py",
    "recorder/chunks/webm.py",
    "recorder/media/captions.py",
    "recorder/media/facts.py",
    "recorder/media/limits.py",
    "recorder/media/objects.py",
    "recorder/media/renditions.py",
    "recorder/media/reports.py",
    "recorder/media/sniff.py",
    "recorder/media/structure.py",
    "recorder/uploads/formats.py",
    "recorder/uploads/limits.py",
    "recorder/uploads/meter.py",
    "recorder/uploads/parts.py",
    "recorder/integrity.py",
    "recorder/chunks/ranges.py",
    "recorder/chunks/places.py",
    "recorder/chunks/report.py",
    "recorder/chunks/settling.py",
    "recorder/findings.py",
    "recorder/composite/layout.py",
    "recorder/composite/mixer.py",
    "recorder/composite/schedule.py",
    "recorder/composite/speaker.py",
    "recorder/composite/spec.py",
    "signaling/rest/tus_headers.py",
)
IMPURE_IMPORTS = {
    "asyncio",
    "socket",
    "time",
    "logging",
    "threading",
    "subprocess",
    "os",
    "aiohttp",
}
# The one place that may use private names of other people's objects; its tests pin each of them.
PRIVATE_NAMES_HOME = "mediaserver/transport/"


def modules_of(*places: str) -> Iterator[tuple[str, ast.Module]]:
    for place in places:
        path = ROOT / place
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        assert files, f"{place} is gone: mend the list"
        for file in files:
            yield str(file.relative_to(ROOT)), ast.parse(file.read_text())


def imports_of(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


# --- code -----------------------------------------------------------------------------------------


def test_imports_go_down_only() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache"], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "tree"), list(modules_of(*PURE)), ids=[name for name, _ in modules_of(*PURE)]
)
def test_pure_modules_touch_nothing_outside(name: str, tree: ast.Module) -> None:
    assert not imports_of(tree) & IMPURE_IMPORTS, name
    waiting = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)
    assert not [node for node in ast.walk(tree) if isinstance(node, waiting)], name


def test_private_names_of_others_are_used_in_one_place_only() -> None:
    strays = [
        f"{name}:{node.lineno} {ast.unparse(node)}"
        for name, tree in modules_of(*PACKAGES)
        if not name.startswith(PRIVATE_NAMES_HOME)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and re.match("_[a-z]", node.attr)
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls", "os"})
    ]
    assert not strays


@pytest.mark.parametrize("package", PACKAGES)
def test_errors_are_one_drawn_tree_with_codes_of_their_own(package: str) -> None:
    module = importlib.import_module(f"{package}.errors")
    errors = [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
    ]
    drawn = module.__doc__ or ""
    codes = [vars(kind).get("code") for kind in errors]
    assert errors
    for kind in errors:
        assert kind.__name__ in drawn, f"{kind.__name__} is not in the tree of {module.__name__}"
        assert issubclass(kind, Exception)
    own = [code for code in codes if code is not None]
    assert len(own) == len(set(own)), f"a code stands twice in {own}"
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", code) for code in own), own


# --- documents ------------------------------------------------------------------------------------


def test_settings_named_in_the_readme_exist() -> None:
    named = set(re.findall(r"MEDIASERVER_[A-Z_]+|DATABASE_URL|ALLOWED_ORIGINS", README))
    assert named <= {environment_name(field) for field in Settings.model_fields.values()}


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = [re.split(r"[\[<>=~! ]", line)[0] for line in wanted]
    web = json.loads((ROOT / "web/package.json").read_text())
    names += [*web["dependencies"], *web["devDependencies"]]
    documented = re.findall(r"^\| `([^`]+)` \|", DEPENDENCIES, re.MULTILINE)
    assert sorted(documented) == sorted(names)


def test_links_in_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_make_targets_named_in_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        named = set(re.findall(r"`make ([a-z-]+)", document.read_text()))
        assert named <= targets, document.name


# --- container ------------------------------------------------------------------------------------


def test_what_the_image_copies_exists() -> None:
    ignored = {"signaling/webroot"}
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        words = line.split()
        if words[:1] != ["COPY"] or any(word.startswith("--from=") for word in words):
            continue
        for source in words[1:-1]:
            assert (ROOT / source).exists(), f"Dockerfile copies {source}"
            assert source.rstrip("/") not in ignored
            top = source.split("/")[0]
            assert f"!{top}" in (ROOT / ".dockerignore").read_text().splitlines(), top
