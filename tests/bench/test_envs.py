"""`softrl bench envs` for a moment."""

import pytest

from softrl.bench import envs
from softrl.errors import UserError


def test_envs_reports_every_number_of_environments() -> None:
    options = envs.Options(env="Pendulum-v1", envs=(1, 3), seconds=0.05)
    _, head, *rows = envs.report(options)
    assert head.split() == ["environments", "sync", "async"]
    assert [row.split()[0] for row in rows] == ["1", "3"]
    with pytest.raises(UserError, match="--envs"):
        envs.Options(envs=(0,))
