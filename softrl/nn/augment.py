"""Augmentations: how images are moved about before an encoder sees them. Shapes: see `softrl.types`."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from softrl.errors import UserError
from softrl.nn.convolutions import Size


class Augmentation(Protocol):
    """What an encoder sees of images: V random views of each to learn from, one fixed view to act by."""

    @property
    def views(self) -> int:
        """Views V of an image."""

    @property
    def random(self) -> bool:
        """Whether two views of an image differ."""

    def size(self, size: Size) -> Size:
        """Height and width of a view; raises UserError for images that are too small."""

    def draw(self, images: Tensor) -> Tensor:
        """A random view of each image, [B,C,H,W] -> [B,C,h,w]."""

    def plain(self, images: Tensor) -> Tensor:
        """The view to act and to be evaluated by, [B,C,H,W] -> [B,C,h,w]."""


def windows(images: Tensor, top: Tensor, left: Tensor, size: Size) -> Tensor:
    """A window of each image, out[b,:,i,j] = images[b,:,top_b + i,left_b + j]: [B,C,H,W], [B], [B] -> [B,C,h,w]."""
    every = images.unfold(2, size[0], 1).unfold(3, size[1], 1)  # [B,C,H-h+1,W-w+1,h,w], without a copy
    return every[torch.arange(len(images), device=images.device), :, top, left]


def padded(images: Tensor, pad: int) -> Tensor:
    """Images with their edges repeated outwards, of any dtype: [B,C,H,W] -> [B,C,H+2*pad,W+2*pad]."""
    for dim in (2, 3):
        first, last = images.narrow(dim, 0, 1), images.narrow(dim, -1, 1)
        images = torch.cat([first.repeat_interleave(pad, dim), images, last.repeat_interleave(pad, dim)], dim)
    return images


def check_views(views: int) -> None:
    """Refuse no view at all."""
    if views < 1:
        raise UserError(f"views is {views}: an image needs at least one view to be learned from")


class Whole:
    """Views as large as the images, which are acted by as they are."""

    def size(self, size: Size) -> Size:
        """The images' own."""
        return size

    def plain(self, images: Tensor) -> Tensor:
        """The images."""
        return images


@dataclass(frozen=True)
class Still(Whole):
    """None: images as they are."""

    views = 1
    random = False

    def draw(self, images: Tensor) -> Tensor:
        """The images."""
        return images


@dataclass(frozen=True)
class Shift(Whole):
    """Images moved by up to a few pixels either way, their edges repeated (DrQ, arXiv 2004.13649, section 3.1)."""

    pad: int = 4
    """Largest shift, in pixels."""
    views: int = 2
    """Views of each image: as many targets, and as many losses, are averaged (K and M of the paper)."""
    random = True

    def __post_init__(self) -> None:
        check_views(self.views)
        if self.pad < 1:
            raise UserError(f"pad is {self.pad}: a shift moves by at least 1 pixel, the augmentation Still by none")

    def draw(self, images: Tensor) -> Tensor:
        """Images that were moved by -pad to pad pixels in both directions, each by its own lot."""
        top, left = torch.randint(2 * self.pad + 1, (2, len(images)), device=images.device)
        return windows(padded(images, self.pad), top, left, (images.shape[2], images.shape[3]))


@dataclass(frozen=True)
class Crop:
    """Windows of images, at random places to learn from and in the middle to act by (CURL, arXiv 2004.04136)."""

    pixels: int = 84
    """Height and width of a window; images must be larger, 100x100 in the paper."""
    views: int = 1
    """Views of each image: as many targets, and as many losses, are averaged."""
    random = True

    def __post_init__(self) -> None:
        check_views(self.views)
        if self.pixels < 1:
            raise UserError(f"pixels is {self.pixels}: a window needs at least one")

    def size(self, size: Size) -> Size:
        """The window's; raises UserError where images are not larger."""
        if min(size) <= self.pixels:
            raise UserError(
                f"images are {size[0]}x{size[1]} and windows {self.pixels}x{self.pixels}: ask for larger images "
                "(100 for windows of 84), or smaller windows"
            )
        return self.pixels, self.pixels

    def draw(self, images: Tensor) -> Tensor:
        """Windows at random places."""
        count, _, height, width = images.shape
        top = torch.randint(height - self.pixels + 1, (count,), device=images.device)
        left = torch.randint(width - self.pixels + 1, (count,), device=images.device)
        return windows(images, top, left, (self.pixels, self.pixels))

    def plain(self, images: Tensor) -> Tensor:
        """The window in the middle."""
        top, left = (images.shape[2] - self.pixels) // 2, (images.shape[3] - self.pixels) // 2
        return images[:, :, top : top + self.pixels, left : left + self.pixels]


AnyAugmentation = Still | Shift | Crop
"""Every kind of augmentation; `Still` is the neutral one."""
