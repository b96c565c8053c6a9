"""The trunks that actors and critics may be built on."""

from softrl.nn.trunks.bronet import BroNet
from softrl.nn.trunks.d2rl import D2RL
from softrl.nn.trunks.dirac import Dirac
from softrl.nn.trunks.experts import GatedExperts, SoftExperts
from softrl.nn.trunks.flash import FlashSAC
from softrl.nn.trunks.mlp import MLP
from softrl.nn.trunks.normformer import NormFormer
from softrl.nn.trunks.simba import SimBa
from softrl.nn.trunks.simbav2 import SimBaV2
from softrl.nn.trunks.xqc import XQC

AnyTrunk = MLP | D2RL | BroNet | SimBa | SimBaV2 | NormFormer | XQC | FlashSAC | Dirac | SoftExperts | GatedExperts
"""Every kind of trunk; `MLP` is the default."""
