"""What a training of the keeper leaves in a release."""

from collections.abc import Callable
from typing import Any

from vernal.monitoring.carrying import NAME, carried
from vernal.rollout.processes import trained


def test_a_training_by_itself_puts_into_the_release_what_is_usual(villages: Callable[..., Any]) -> None:
    space = villages(30)
    release = space.releases.open(trained(space).release)
    assert f"{NAME}.npy" in release.manifest.files
    assert carried(release)
