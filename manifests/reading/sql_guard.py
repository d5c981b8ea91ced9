"""Which SQL is answered: decided on the statement as it is parsed, by lists of what may be in it.

Polars' SQL reads files too, by functions in the place of tables. So a statement is parsed, every part of it has to be
one that is listed here, and what polars gets is written anew from the parts: text that two parsers might read in two
ways never reaches it. Names are quoted by double quotes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from sqlglot import ErrorLevel, exp, generator, parse, parse_one, parser, tokens
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.tokens import TokenType  # type: ignore[attr-defined]  # public, and not said to be

from manifests.errors import one_line

T = TypeVar("T")

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # what it warns of is refused here


class _PolarsSQL(Dialect):
    """Polars' words for what the parser knows; functions keep the names that they are called by."""

    NORMALIZE_FUNCTIONS = False
    NULL_ORDERING = "nulls_are_large"

    class Tokenizer(tokens.Tokenizer):
        KEYWORDS = {**tokens.Tokenizer.KEYWORDS, "~": TokenType.RLIKE, "//": TokenType.DIV}  # noqa: RUF012

    class Parser(parser.Parser):
        FUNCTIONS = {}  # noqa: RUF012

    class Generator(generator.Generator):
        TRANSFORMS = {  # noqa: RUF012
            **generator.Generator.TRANSFORMS,
            exp.Array: lambda self, node: f"[{self.expressions(node, flat=True)}]",
            exp.IntDiv: lambda self, node: self.binary(node, "//"),
        }


_EXPRESSIONS: frozenset[type[exp.Expr]] = frozenset(
    {
        *(exp.Column, exp.Identifier, exp.Star, exp.Alias, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Tuple),
        *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ),
        *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.DPipe, exp.Between, exp.In, exp.Is),
        *(exp.Like, exp.ILike, exp.RegexpLike, exp.Case, exp.If, exp.Cast, exp.TryCast, exp.DataType, exp.Interval),
        *(exp.DataTypeParam, exp.Var, exp.Extract, exp.Trim, exp.Array, exp.Bracket, exp.Anonymous, exp.Dot),
        *(exp.Distinct, exp.Order, exp.Ordered, exp.Window, exp.WindowSpec, exp.Filter),
    }
)
"""What an expression may consist of."""
_QUERIES: frozenset[type[exp.Expr]] = _EXPRESSIONS | {
    *(
        exp.Select,
        exp.From,
        exp.Table,
        exp.TableAlias,
        exp.Join,
        exp.Where,
        exp.Group,
        exp.Having,
        exp.Limit,
        exp.Offset,
    ),
    *(exp.With, exp.CTE, exp.Subquery, exp.Union, exp.Intersect, exp.Except, exp.Exists, exp.Qualify),
}
_FUNCTIONS = frozenset(
    """
    abs acos asin atan atan2 cbrt ceil ceiling cos cot degrees div exp floor ln log log10 log1p log2 mod pi pow power
    radians round sign sin sqrt tan trunc truncate greatest least coalesce nullif ifnull
    bit_length char_length character_length concat concat_ws ends_with initcap left length lower lpad ltrim normalize
    octet_length regexp_like replace reverse right rpad rtrim split_part starts_with strpos substr substring upper
    avg corr count covar covar_pop covar_samp first last max median min quantile_cont quantile_disc stddev
    stddev_samp stdev stdev_samp sum var var_samp variance
    array_agg array_contains array_get array_length array_lower array_mean array_reverse array_sum
    array_to_string array_unique array_upper unnest string_to_array
    dense_rank first_value lag last_value lead ntile rank row_number
    date date_part datetime strftime strptime time timestamp columns
    """.split()  # noqa: SIM905
)
"""Functions of polars' SQL that compute from their arguments alone."""


def checked_query(statement: str, table: str) -> str:
    """``statement``, one query about ``table`` alone, written anew.

    Raises:
        ValueError: it is no SQL, or something else, or holds what is not listed here.
    """
    parts = [one for one in _parsed(lambda: parse(statement, read=_PolarsSQL)) if one is not None]
    if len(parts) != 1 or not isinstance(parts[0], exp.Select | exp.SetOperation):
        raise ValueError("it is not one SELECT")
    query = parts[0]
    known = {table, *(one.alias for one in query.find_all(exp.CTE))}
    for node in query.find_all(exp.Table):
        if not isinstance(node.this, exp.Identifier) or node.args.get("db") is not None:
            raise ValueError("a function or a file stands where a table's name should")
        if node.name not in known:
            raise ValueError(f"there is no table {node.name!r}")
    return _written(query, _QUERIES)


def checked_expression(expression: str) -> str:
    """``expression``, a condition on single rows, written anew.

    Raises:
        ValueError: it is no SQL, or holds a query or anything else that is not listed here.
    """
    return _written(_parsed(lambda: parse_one(expression, read=_PolarsSQL, into=exp.Condition)), _EXPRESSIONS)


def _parsed(parse_it: Callable[[], T]) -> T:
    """What ``parse_it`` gives; what it cannot take is a ValueError of one line."""
    try:
        return parse_it()
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        said = first.get("description") or str(error)
        raise ValueError(f"it cannot be parsed: {one_line(said)}") from None
    except SqlglotError as error:
        raise ValueError(f"it cannot be parsed: {one_line(error)}") from None


def _written(parsed: exp.Expr, allowed: frozenset[type[exp.Expr]]) -> str:
    for node in parsed.walk():
        if type(node) not in allowed:
            raise ValueError(f"{type(node).__name__} is not answered here")
        if isinstance(node, exp.Anonymous) and node.name.lower() not in _FUNCTIONS:
            raise ValueError(f"there is no function {node.name!r}")
    try:
        return parsed.sql(dialect=_PolarsSQL, identify=True, comments=False, unsupported_level=ErrorLevel.RAISE)
    except (SqlglotError, RecursionError) as error:
        raise ValueError(f"it cannot be answered: {one_line(error)}") from None
