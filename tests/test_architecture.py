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


OTHERS = [
    # what is written instead, what may be meant
    ("",            None),
    ("sm_9",        None),
    ("sm_90b",      None),
    ("sm_1000",     None),
    ("sm_075",      None),
    ("sm_٩٠",       None),  # digits, but not of ASCII
    ("hopper",      None),
    ("90",          "sm_90"),
    ("9.0",         "sm_90"),
    ("12.0",        "sm_120"),
    ("sm90",        "sm_90"),
    ("SM_90",       "sm_90"),
    ("sm_90A",      "sm_90a"),
    ("sm_90 ",      "sm_90"),
    ("sm-90",       "sm_90"),
    ("compute_100f", "sm_100f"),
    ("cc75",        "sm_75"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "meant"), OTHERS)
def test_other_names_are_not_architectures(name, meant):
    assert architecture.parse(name) is None
    with pytest.raises(UsageError) as caught:
        architecture.require(name)
    advice = f"Did you mean '{meant}'?" if meant else "Write it as sm_90 or sm_90a."
    assert str(caught.value) == f"Unknown architecture '{name}'. {advice}"


def test_the_first_architecture_of_a_text_is_found():
    assert architecture.find("sm_80 or higher") == (80, "")
    assert architecture.find("PTX ISA .version 8.0 or later") is None
    with pytest.raises(ValueError, match="'hopper' is not an architecture such as sm_90"):
        architecture.number("hopper")


TAKEN = [
    # target, .target, whether PTX for it can be assembled for the target
    ("sm_90",   "sm_75",        True),
    ("sm_90",   "sm_90",        True),
    ("sm_90a",  "sm_90",        True),
    ("sm_100f", "sm_90",        True),
    ("sm_80",   "sm_90",        False),
    ("sm_90a",  "sm_90a",       True),
    ("sm_90",   "sm_90a",       False),
    ("sm_100a", "sm_90a",       False),
    ("sm_103",  "sm_100f",      None),
    ("sm_90",   "sm_75, debug", None),
    ("hopper",  "sm_75",        None),
]  # fmt: skip


@pytest.mark.parametrize(("target", "declared", "accepted"), TAKEN)
def test_a_plain_target_is_for_itself_and_all_later_ones(target, declared, accepted):
    assert architecture.accepts(target, declared) is accepted
