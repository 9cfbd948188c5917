"""Parameters of a provider's API under the provider's own names, such as NVIDIA's `truncate` or Voyage's `top_k`.

Callers give them as `provider_options`, as keyword arguments of the SDK, or as top-level fields over HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

ContractField = Literal["", "top_n", "return_documents"]


class Kind(StrEnum):
    """JSON type of a parameter's value."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    OBJECT = "object"
    ARRAY = "array"


_IN_WORDS: Final[Mapping[str, str]] = {
    **{kind.value: f"a {kind.value}" for kind in Kind},
    **{"integer": "an integer", "object": "an object", "array": "an array", "null": "null"},
}
_SHOWN_CHARS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a provider's API."""

    kinds: tuple[Kind, ...]
    """Accepted types, n >= 1."""
    source: str
    """Document, package or server that declares it."""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    """Accepted strings; empty: any."""
    holds_text: bool = False
    """Whether the items of an array, or the values of an object, must be strings."""
    is_nullable: bool = False
    """Whether null has a meaning of its own; otherwise null means absent."""
    field: ContractField = ""
    """Field of the contract with the same meaning, which rerankd itself implements; empty: sent unchanged."""
    raw_when: bool | None = None
    """Value under which scores are raw logits instead of probabilities; `None`: it does not change them."""
    models: tuple[str, ...] = ()
    """Globs of the models that have it, for `ModelRule.pattern`; empty: all."""

    def fault(self, name: str, value: object) -> str:
        """Return why `value` cannot be sent, naming the parameter; empty if it can."""
        kind = kind_of(value)
        if kind == "null" and self.is_nullable:
            return ""
        is_whole = kind == "integer" and Kind.NUMBER in self.kinds
        if kind not in self.kinds and not is_whole:
            wanted = [*self.kinds, *(["null"] if self.is_nullable else [])]
            return f"{name} must be {' or '.join(_IN_WORDS[each] for each in wanted)}, was {_IN_WORDS[kind]}"
        if isinstance(value, str) and self.choices and value not in self.choices:
            return f"{name} must be {' or '.join(self.choices)}, was {value[:_SHOWN_CHARS]!r}"
        if self.holds_text and isinstance(value, Mapping | list):
            return _item_fault(name, value)
        return self._range_fault(name, value)

    def _range_fault(self, name: str, value: object) -> str:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return ""
        least, most = self.minimum, self.maximum
        if (least is None or value >= least) and (most is None or value <= most):
            return ""
        if most is None:
            return f"{name} must be at least {least:g}, was {value:g}"
        return f"{name} must be {least or 0:g} to {most:g}, was {value:g}"

    @property
    def accepted(self) -> str:
        """Description of the accepted values, such as `integer 0 to 80` or `NONE or END`."""
        words = " or ".join(self.choices) if self.choices else " or ".join(self.kinds)
        if self.maximum is not None:
            words += f" {self.minimum or 0:g} to {self.maximum:g}"
        elif self.minimum is not None:
            words += f" >= {self.minimum:g}"
        return f"{words} or null" if self.is_nullable else words

    @property
    def examples(self) -> Sequence[object]:
        """Accepted values, n >= 1; an array has two items."""
        if self.choices:
            return self.choices
        least = self.minimum or 0
        of_kind: Mapping[Kind, Sequence[object]] = {
            Kind.BOOLEAN: (True, False),
            Kind.INTEGER: (int(least), int(least) + 1),
            Kind.NUMBER: (float(least) + 1.5,),
            Kind.STRING: ("a",),
            Kind.OBJECT: ({"a": "b"},),
            Kind.ARRAY: (["a", "b"],),
        }
        return of_kind[self.kinds[0]]


Parameters = Mapping[str, Parameter] | None
"""Parameters by name; `None`: the API takes any."""
NO_PARAMETERS: Final[Mapping[str, Parameter]] = {}


def _item_fault(name: str, value: Mapping[object, object] | list[object]) -> str:
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    wrong = next((f"{name}[{str(key)[:_SHOWN_CHARS]!r}]" for key, item in items if not isinstance(item, str)), "")
    return f"{wrong} must be a string" if wrong else ""


def kind_of(value: object) -> str:
    """Return the JSON type of a decoded value; a float without a fraction is an integer, as a `Struct` has none."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return Kind.BOOLEAN
    if isinstance(value, int):
        return Kind.INTEGER
    if isinstance(value, float):
        return Kind.INTEGER if value.is_integer() else Kind.NUMBER
    if isinstance(value, str):
        return Kind.STRING
    return Kind.OBJECT if isinstance(value, Mapping) else Kind.ARRAY


def text(source: str, *choices: str, is_nullable: bool = False, models: tuple[str, ...] = ()) -> Parameter:
    """Declare a string, optionally one of `choices`."""
    return Parameter(kinds=(Kind.STRING,), choices=choices, source=source, is_nullable=is_nullable, models=models)


def flag(source: str, *, is_nullable: bool = False, raw_when: bool | None = None) -> Parameter:
    """Declare a boolean."""
    return Parameter(kinds=(Kind.BOOLEAN,), source=source, is_nullable=is_nullable, raw_when=raw_when)


def whole(
    source: str,
    minimum: int | None = None,
    maximum: int | None = None,
    *,
    is_nullable: bool = False,
    models: tuple[str, ...] = (),
) -> Parameter:
    """Declare an integer, optionally within a range."""
    kinds = (Kind.INTEGER,)
    return Parameter(
        kinds=kinds, source=source, minimum=minimum, maximum=maximum, is_nullable=is_nullable, models=models
    )


def mapping(source: str, *, is_nullable: bool = False, holds_text: bool = False) -> Parameter:
    """Declare an object."""
    return Parameter(kinds=(Kind.OBJECT,), source=source, is_nullable=is_nullable, holds_text=holds_text)


def top_n(source: str) -> Parameter:
    """Declare the API's own name of `top_n`."""
    return Parameter(kinds=(Kind.INTEGER,), source=source, minimum=1, field="top_n")


def echo(source: str) -> Parameter:
    """Declare the API's own name of `return_documents`."""
    return Parameter(kinds=(Kind.BOOLEAN,), source=source, field="return_documents")


def sent(parameters: Mapping[str, Parameter]) -> Iterator[str]:
    """Yield the names of the parameters that are sent to the provider."""
    return (name for name, parameter in parameters.items() if not parameter.field)


def has_no(title: str, name: str) -> str:
    """Return the warning about a parameter that an API does not have."""
    return f"{name[:_SHOWN_CHARS]} was ignored: {title} has no such parameter"
