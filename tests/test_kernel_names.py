"""Names of kernels: demangled, shortened, and found by what a user writes."""

import pytest

from ptxbench.kernel_names import MOST_SHOWN, demangled, displayed, expression, matching, short, some

PLAIN, INNER = "axpy", "_ZN4blas4axpyEPf"
FLOAT, DOUBLE = "_ZN4blas5scaleIfLi2EEEvPT_", "_ZN4blas5scaleIdLi2EEEvPT_"
OVERLOADS = ("_Z4copyPf", "_Z4copyPd")
INTEGERS = ("_ZN4deep1kILj512ELj64ELc4ELm5EEEvPj", "_ZN4deep1kILj512ELj64ELc4ELm6EEEvPj")
KIND = "_Z4pickILN2ns4KindE1EjEvT0_"
HIDDEN = "_ZN12_GLOBAL__N_16hiddenEPi"
ALL = (PLAIN, INNER, FLOAT, DOUBLE, *OVERLOADS, *INTEGERS, KIND, HIDDEN)

# name in PTX, demangled, short
NAMES = [
    (PLAIN,        "axpy",                                 "axpy"),
    (INNER,        "blas::axpy(float*)",                   "blas::axpy"),
    (FLOAT,        "void blas::scale<float, 2>(float*)",   "blas::scale<float, 2>"),
    (OVERLOADS[0], "copy(float*)",                         "copy"),
    (HIDDEN,       "(anonymous namespace)::hidden(int*)",  "(anonymous namespace)::hidden"),
    ("_Zno_name",  "_Zno_name",                            "_Zno_name"),
    ("_Z2sqIN2ns3SeqIiJLi1ELi2EEEEEvT_", "void sq<ns::Seq<int, 1, 2>>(ns::Seq<int, 1, 2>)", "sq<ns::Seq<int, 1, 2>>"),
    ("_Z1kIXadL_Z3twoiEEEvPi", "void k<&two(int)>(int*)", "k<&two(int)>"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "whole", "without"), NAMES)
def test_a_name_is_written_as_in_cpp(name, whole, without):
    assert demangled(name).replace("&(two(int))", "&two(int)") == whole
    assert short(name).replace("&(two(int))", "&two(int)") == without


def test_only_overloads_have_their_parameters():
    shown = displayed(ALL)
    assert shown[INNER] == "blas::axpy"
    assert [shown[overload] for overload in OVERLOADS] == ["copy(float*)", "copy(double*)"]


# what the user writes, the kernels that it means
WANTED = [
    ("axpy",                            [PLAIN]),
    ("blas::axpy",                      [INNER]),
    ("blas::axpy(float *)",             [INNER]),
    (INNER,                             [INNER]),
    ("scale",                           [FLOAT, DOUBLE]),
    ("blas::scale",                     [FLOAT, DOUBLE]),
    ("blas::scale<float,2>",            [FLOAT]),
    ("scale< double, 2 >",              [DOUBLE]),
    ("void blas::scale<float, 2>(float*)", [FLOAT]),
    ("copy",                            [*OVERLOADS]),
    ("copy(double*)",                   [OVERLOADS[1]]),
    ("hidden",                          [HIDDEN]),
    ("deep::k<512, 64, 4, 6>",          [INTEGERS[1]]),
    ("k<512u, 64U, (char)4, 5UL>",      [INTEGERS[0]]),
    ("k<512,64,4>",                     [*INTEGERS]),
    ("k<512, 6>",                       []),
    ("pick<1>",                         [KIND]),
    ("pick<1, unsigned>",               [KIND]),
    ("scal",                            []),
    ("scale<int, 2>",                   []),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "names"), WANTED)
def test_a_name_means_the_kernels_that_fit_it_best(wanted, names):
    assert matching(wanted, ALL) == names


def test_a_name_with_template_arguments_is_an_expression_for_the_compiler():
    assert expression("void ns::k<S<float>, 4>(float*)") == "ns::k<S<float>, 4>"
    assert expression("ns::k") is None


def test_without_a_cpp_runtime_names_stay_as_in_ptx(monkeypatch):
    monkeypatch.setattr("ptxbench.kernel_names.demangler", lambda: None)
    demangled.cache_clear()
    short.cache_clear()
    assert displayed([FLOAT]) == {FLOAT: FLOAT}
    assert matching(FLOAT, ALL) == [FLOAT]
    demangled.cache_clear()
    short.cache_clear()


def test_of_very_many_kernels_a_message_has_one_of_each_template():
    few = [f"gemm<{i}>" for i in range(MOST_SHOWN)]
    assert some(few) == ", ".join(few)
    assert some([*few, "gemm<99>", "ns::add<float>", "ns::add<int>", "copy"]) == (
        "gemm<0>, ns::add<float>, copy and 13 more"
    )
    assert some(f"k{i}" for i in range(1_014)) == f"{', '.join(f'k{i}' for i in range(MOST_SHOWN))} and 1,002 more"
