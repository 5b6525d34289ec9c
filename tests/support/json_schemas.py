"""Schemas of the subset that entry points check, and payloads that fit them, or nearly do."""

from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]

NAMES = ("a", "b", "kind", "x-1", "имя", "a/b~c", "")
TEXTS = ("", "a", "ab", "cat", "dog", "2030-01-31", "A1", "имя", "a\nb", "0", "😀")
INTEGERS = (-1, 0, 1, 2, 3, 7, 10, 2**53 + 1, 2**63 - 1)
DOUBLES = (0.0, -0.5, 0.1, 0.3, 1.0, 1.5, 2.5, 1e15, 1.25e15, 1e16, 1e-5, 1e22, 1e300)
PATTERNS = (
    "^a",
    "b$",
    "^[a-c]+$",
    "^(cat|dog)$",
    "[0-9]",
    "^.{1,3}$",
    "^(?!a)",
    "\\d",
    "^[^a]*$",
    "м|я",
)

names = st.sampled_from(NAMES)
texts = st.sampled_from(TEXTS)
numbers = st.one_of(
    st.sampled_from(INTEGERS),
    st.sampled_from(DOUBLES),
    st.integers(-20, 20),
    st.floats(-1e6, 1e6, allow_nan=False).map(lambda number: number + 0.0),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    max_leaves=8,
)


def _some(options: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=options)


sizes = st.integers(0, 3)
integer_schemas = _some({"minimum": numbers, "maximum": numbers}).map(
    lambda rules: {"type": "integer", **rules}
)
number_schemas = _some(
    {
        "exclusiveMinimum": numbers,
        "exclusiveMaximum": numbers,
        "minimum": numbers,
        "multipleOf": st.sampled_from((1, 2, 0.5, 0.25, 5)),
    }
).map(lambda rules: {"type": "number", **rules})
string_schemas = _some(
    {"minLength": sizes, "maxLength": sizes, "pattern": st.sampled_from(PATTERNS)}
).map(lambda rules: {"type": "string", **rules})
leaf_schemas = st.one_of(
    integer_schemas,
    number_schemas,
    string_schemas,
    st.booleans(),
    st.sampled_from(
        (
            {},
            {"type": "null"},
            {"type": "boolean"},
            {"type": ["string", "null"]},
            {"$ref": "#/$defs/T"},
            {"$ref": "#"},
        )
    ),
    values.map(lambda value: {"const": value}),
    st.lists(values, min_size=1, max_size=3).map(lambda several: {"enum": several}),
)


def _array_schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    return _some(
        {
            "items": inner,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "minItems": sizes,
            "maxItems": sizes,
            "uniqueItems": st.booleans(),
        }
    ).map(lambda rules: {"type": "array", **rules})


def object_schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Schemas of objects."""
    return _some(
        {
            "properties": st.dictionaries(names, inner, max_size=3),
            "required": st.lists(names, max_size=2, unique=True),
            "additionalProperties": inner,
            "patternProperties": st.dictionaries(st.sampled_from(PATTERNS), inner, max_size=2),
            "propertyNames": st.one_of(string_schemas, st.just({"enum": ["a", "kind"]})),
            "minProperties": sizes,
            "maxProperties": sizes,
        }
    ).map(lambda rules: {"type": "object", **rules})


def _tagged(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    def union(members: tuple[Any, Any]) -> Json:
        cat, dog = (
            {
                "type": "object",
                "properties": {"kind": {"const": tag, "type": "string"}, "a": member},
                "required": ["kind"],
            }
            for tag, member in zip(("cat", "dog"), members, strict=True)
        )
        return {"oneOf": [cat, dog], "discriminator": {"propertyName": "kind"}}

    return st.tuples(inner, inner).map(union)


def _compound(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        _array_schemas(inner),
        object_schemas(inner),
        several.map(lambda schemas: {"anyOf": schemas}),
        several.map(lambda schemas: {"oneOf": schemas}),
        several.map(lambda schemas: {"allOf": schemas}),
        inner.map(lambda schema: {"not": schema}),
        inner.map(lambda schema: {"anyOf": [schema, {"type": "null"}]}),
        st.tuples(inner, inner).map(lambda two: {"allOf": [two[0]], "anyOf": [two[1], {}]}),
        _tagged(inner),
    )


schemas = st.recursive(leaf_schemas, _compound, max_leaves=8)


@st.composite
def contract_schemas(draw: st.DrawFn) -> Json:
    """A schema of payloads, with a definition that its parts may refer to, recursively too."""
    root = draw(object_schemas(schemas))
    return {**root, "$defs": {"T": draw(object_schemas(schemas))}}


payloads = st.dictionaries(names, values, max_size=5)
tagged_payloads = st.fixed_dictionaries(
    {"a": st.fixed_dictionaries({"kind": texts, "a": values})}, optional={"b": values}
)
