"""The observation model that suits what is observed. Shapes: see `softrl.types`."""

from dataclasses import dataclass, field

from softrl.nn.dreamer_cnn import Pictures
from softrl.nn.sights import ObservationModel, Vectors
from softrl.types import Spec


@dataclass(frozen=True)
class Either:
    """Pictures where pixels are observed, Vectors where state observations are, each with settings of its own."""

    pictures: Pictures = field(default_factory=Pictures)
    """How pixels are read and reconstructed."""
    vectors: Vectors = field(default_factory=Vectors)
    """How state observations are read and reconstructed."""

    def suited(self, spec: Spec) -> Pictures | Vectors:
        """The one for the observations of `spec`."""
        return self.pictures if "pixels" in spec.obs else self.vectors

    def check(self, spec: Spec) -> None:
        """Raises UserError where the one that suits cannot read the observations."""
        self.suited(spec).check(spec)

    def build(self, features: int, spec: Spec) -> ObservationModel:
        """The module that predicts from that many features; raises UserError as `check` does."""
        return self.suited(spec).build(features, spec)


AnySight = Either | Pictures | Vectors
"""Every kind of observation model; `Either` is the default, the others insist on what is observed."""
