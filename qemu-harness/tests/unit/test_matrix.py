# SPDX-License-Identifier: GPL-2.0-or-later
"""The cells of the matrix have every pair of values, and its tables every cell."""

from __future__ import annotations

import itertools
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import support
from imaharness import kernel, matrix
from imaharness.bases import find_base
from imaharness.matrix import SETTINGS, Cell
from imaharness.tpm import TpmSpec

FIRST = {name: values[0] for name, values in SETTINGS.items()}


def result(cell: Cell, ours: str = "ok", evmctl: str = "ok") -> dict[str, object]:
    return {**cell, "records": 12, "ima-snapshot": ours, "evmctl": evmctl, "seconds": 20}


class Matrix(support.TemporaryDirectory):
    def test_each_pair_that_is_possible_is_in_a_cell(self) -> None:
        cells = matrix.cells()
        for a, b in itertools.combinations(SETTINGS, 2):
            for value, other in itertools.product(SETTINGS[a], SETTINGS[b]):
                here = any(cell[a] == value and cell[b] == other for cell in cells)
                self.assertEqual(here, matrix.possible({a: value, b: other}), (a, value, b, other))

    def test_each_cell_is_possible_and_has_all_settings(self) -> None:
        for cell in matrix.cells():
            self.assertEqual(list(cell), list(SETTINGS))
            self.assertTrue(matrix.possible(cell), cell)
            flavour = kernel.find_flavour(cell["kernel"])
            self.assertIsNone(kernel.flavour_reason(find_base(cell["base"]), flavour), cell)

    def test_fixed_values_stay(self) -> None:
        cells = matrix.cells({"base": "v6.12", "tpm": "none"})
        self.assertEqual({(cell["base"], cell["tpm"]) for cell in cells}, {("v6.12", "none")})
        self.assertEqual({cell["policy"] for cell in cells}, set(SETTINGS["policy"]))

    def test_the_guest_is_as_the_cell_says(self) -> None:
        cell = {**FIRST, "tpm": "sha1,sha384", "interface": "crb", "hash": "sha512", "template": "d-ng|n-ng|iuid"}
        spec = matrix._spec({**cell, "policy": "tcb", "cpus": "4", "htable": "flushed"}, self.tmp / "policy")
        self.assertEqual(spec.tpm, TpmSpec(interface="crb", banks=["sha1", "sha384"]))
        wanted = ["ima_hash=sha512", "ima_template_fmt=d-ng|n-ng|iuid", "ima_policy=tcb", "ima_flush_htable"]
        self.assertEqual((list(spec.append), spec.smp, spec.policy), (wanted, 4, None))
        spec = matrix._spec({**FIRST, "policy": "pcr=11"}, self.tmp / "policy")
        self.assertIn(" pcr=11\n", (spec.policy or Path()).read_text())
        self.assertEqual(matrix._spec({**FIRST, "tpm": "none"}, self.tmp / "policy").tpm.version, "none")

    def test_what_is_wrong_fails(self) -> None:
        self.assertTrue(matrix.passed(result(FIRST)))
        self.assertTrue(matrix.passed(result(FIRST, evmctl="not its bank")))
        self.assertFalse(matrix.passed(result(FIRST, ours="part2: exit 3")))
        self.assertFalse(matrix.passed(result(FIRST, evmctl="sha256: failed")))
        self.assertFalse(matrix.passed({**FIRST, "ima-snapshot": "ok"}))

    def test_the_tables(self) -> None:
        results = [result(FIRST), result({**FIRST, "template": "d-ng|n-ng|iuid"}, ours="<exit 3>")]
        file = self.tmp / "results" / "matrix.json"
        matrix.write(results, file)
        self.assertEqual(json.loads(file.read_text())["cells"], results)
        rows = file.with_suffix(".md").read_text().splitlines()[-2:]
        self.assertEqual([row.replace("\\|", "").count("|") for row in rows], [len(SETTINGS) + 5] * 2)
        page = file.with_suffix(".html").read_text()
        table = ET.fromstring(page[page.index("<table>") : page.index("</table>") + 8])
        self.assertEqual(len(table.findall("tr")), 3)
        self.assertIn("<exit 3>", [cell.text for cell in table.iter("td")])
