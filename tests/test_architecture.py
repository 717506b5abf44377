import pytest

from ptxbench import architecture
from ptxbench.errors import UsageError

NAMES = [
    ("sm_75",   75,  ""),
    ("sm_90a",  90,  "a"),
    ("sm_100f", 100, "f"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "number", "suffix"), NAMES)
def test_an_architecture_is_a_number_and_a_suffix(name, number, suffix):
    assert architecture.parse(name) == architecture.require(name) == (number, suffix)
    assert (architecture.number(name), architecture.suffix(name)) == (number, suffix)


@pytest.mark.parametrize("name", ["", "90", "sm_9", "sm_90b", "sm_1000", "SM_90", "compute_90", "sm_90 "])
def test_other_names_are_not_architectures(name):
    assert architecture.parse(name) is None
    with pytest.raises(UsageError, match=rf"^Unknown architecture '{name}'\. Write it as sm_90 or sm_90a\.$"):
        architecture.require(name)


def test_the_first_architecture_of_a_text_is_found():
    assert architecture.find("sm_80 or higher") == (80, "")
    assert architecture.find("PTX ISA .version 8.0 or later") is None
    with pytest.raises(ValueError, match="'hopper' is not an architecture such as sm_90"):
        architecture.number("hopper")
