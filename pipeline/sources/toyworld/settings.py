"""What a toy world is made of, as numbers that a user may choose."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

DomainName = Literal["market-like", "duke-like"]
CAMERAS: dict[str, int] = {"market-like": 6, "duke-like": 8}
VERSION = 2
"""Raised whenever the same settings would draw other pixels."""


class ToyWorldSettings(BaseModel):
    """A small world of walking people, drawn as surveillance crops with exact ground truth."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    group: ClassVar[str] = "world"

    identities: int = Field(32, ge=2, le=9998, description="people in each domain, half of them for training")
    seed: int = Field(0, ge=0, lt=2**31, description="everything in the world follows from it")
    images_per_camera: int = Field(3, ge=1, le=99, description="images of a person by a camera that sees them")
    height: int = Field(128, ge=32, le=1024, description="height of the crops, pixels")
    width: int = Field(64, ge=16, le=512, description="width of the crops, pixels")
    distractors: int = Field(12, ge=0, le=99999, description="gallery images a domain of nobody in the lists")
    junk: int = Field(12, ge=0, le=99999, description="badly framed gallery images a domain")
    domains: tuple[DomainName, ...] = Field(("market-like", "duke-like"), description="which domains to draw")

    @field_validator("domains")
    @classmethod
    def _no_domain_twice(cls, value: tuple[DomainName, ...]) -> tuple[DomainName, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("name at least one domain and none twice")
        return value
