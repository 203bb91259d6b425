"""What the README lists is what there is."""

import re
from pathlib import Path


def names_in_table(text: str, heading: str) -> list[str]:
    """Return the names in the first column of the table below a heading."""
    section = text.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]
    return [name for row in re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]


def test_every_parameter_of_the_template_has_its_row() -> None:
    template = Path("template.yaml").read_text(encoding="utf-8")
    parameters = template.split("\nParameters:\n", 1)[1].split("\nRules:\n", 1)[0]
    names = re.findall(r"^  (\w+):$", parameters, re.MULTILINE)
    assert sorted(names) == sorted(names_in_table(Path("README.md").read_text(encoding="utf-8"), "### Parameters"))


def test_every_setting_of_the_function_has_its_row() -> None:
    source = Path("src/config.rs").read_text(encoding="utf-8")
    names = set(re.findall(r'"((?:SENTINEL|AZURE)_[A-Z_]+)"', source))
    documented = names_in_table(Path("README.md").read_text(encoding="utf-8"), "## Configuration")
    assert names <= set(documented), names - set(documented)
