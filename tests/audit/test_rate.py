"""The exact bound of a share."""

import pytest
import scipy  # it loads scipy.stats, which takes most of a second, when a test uses it

from ptxbench.audit.rate import AlarmRate

# events, trials
COUNTS = [(0, 300), (1, 300), (3, 300), (29, 30), (30, 30), (1, 1)]


@pytest.mark.parametrize(("events", "trials"), COUNTS)
def test_the_bound_is_the_clopper_pearson_bound(events, trials):
    interval = scipy.stats.binomtest(events, trials, alternative="less").proportion_ci(0.95, "exact")
    assert AlarmRate(events, trials).most == pytest.approx(interval.high, rel=1e-9)


def test_three_hundred_suites_without_an_alarm_bound_their_share_below_one_per_cent():
    assert AlarmRate(0, 300).most < 0.01 < AlarmRate(0, 290).most


def test_without_trials_there_is_no_bound():
    assert (AlarmRate(0, 0).share, AlarmRate(0, 0).most) == (None, None)
