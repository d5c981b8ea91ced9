from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from manifests.reading.sql_guard import _FUNCTIONS, checked_expression, checked_query

FRAME = pl.DataFrame(
    {
        "camera": [3, 1, -2, None],
        "identity": ["a", "it's", 'b"', None],
        "quality": [{"shift": 0.5}, {"shift": None}, {"shift": 0.25}, {"shift": 1.0}],
        "keys": [["a"], ["b", "c"], [], ["a"]],
    }
)
QUERIES = [
    "SELECT camera, COUNT(*) AS rows, MAX(quality.shift) AS best FROM data GROUP BY camera ORDER BY 1",
    'select Camera AS "a""b", \'x"y\' AS w from (select camera as "Camera" from data) as t order by 1 desc limit 2',
    "WITH t AS (SELECT camera FROM data) SELECT a.camera FROM t AS a JOIN data AS b ON a.camera = b.camera ORDER BY 1",
    "SELECT camera FROM data ORDER BY camera",
    "SELECT camera FROM data ORDER BY camera DESC",
    "SELECT camera FROM data ORDER BY camera DESC NULLS LAST",
    "SELECT camera FROM data ORDER BY camera ASC NULLS FIRST LIMIT 3 OFFSET 1",
    "SELECT identity FROM data WHERE identity = 'it''s' OR identity LIKE 'b%' OR identity ILIKE 'A' ORDER BY 1",
    "SELECT identity ~ '^a', identity !~ 'b', camera // 2, camera % 2, -camera, camera::float / 2 FROM data",
    "SELECT CASE WHEN camera > 1 THEN 'x' ELSE NULL END, IF(camera = 1, 2, 3), COALESCE(camera, 7) FROM data",
    "SELECT CAST(camera AS VARCHAR) || 'x', camera IS NULL, camera IS DISTINCT FROM 1 FROM data",
    "SELECT camera FROM data WHERE NOT camera BETWEEN 0 AND 2 AND camera IN (3, -2) -- a comment; it ends here\n",
    "SELECT camera /* FROM elsewhere */ FROM data WHERE camera IN (SELECT MAX(camera) FROM data)",
    "SELECT camera, ROW_NUMBER() OVER (PARTITION BY identity ORDER BY camera DESC) AS n FROM data ORDER BY 1",
    "SELECT COUNT(DISTINCT identity), SUM(camera) FILTER (WHERE camera > 1), MEDIAN(camera) FROM data",
    "SELECT * EXCLUDE (keys) FROM data UNION ALL SELECT * EXCLUDE (keys) FROM data ORDER BY camera",
    "SELECT UNNEST(keys) AS one FROM data ORDER BY one",
    "SELECT quality.*, keys[1], [1, 2] FROM data",
    "SELECT 'a\\' AS slash, 'SELECT; DROP' AS words FROM data LIMIT 1;",
    "SELECT identity, COUNT(*) AS n FROM data GROUP BY ALL HAVING n > 0 ORDER BY identity",
]


@pytest.mark.parametrize("query", QUERIES)
def test_what_is_written_anew_gives_the_same_answer(query: str) -> None:
    again = checked_query(query, "data")
    first, second = (pl.SQLContext(data=FRAME).execute(one, eager=True) for one in (query, again))
    assert second.equals(first)
    assert second.columns == first.columns or "CASE" in query
    assert checked_query(again, "data") == again


@pytest.mark.parametrize(
    "query",
    [
        *("SELECT * FROM read_csv('{}')", "SELECT * FROM `read_csv`('{}')", "SELECT * FROM \"read_csv\"('{}')"),
        *("SELECT * FROM [read_csv]('{}')", "SELECT * FROM READ_CSV/**/('{}')", "SELECT * FROM '{}'"),
        *('SELECT * FROM "{}"', "SELECT * FROM data, read_csv('{}')", "SELECT * FROM (SELECT * FROM read_csv('{}'))"),
        *(
            "WITH t AS (SELECT * FROM read_csv('{}')) SELECT * FROM t",
            "SELECT 1 AS x UNION SELECT * FROM read_csv('{}')",
        ),
        *(
            "SELECT * FROM data WHERE 'x' IN (SELECT * FROM read_csv('{}'))",
            "SELECT * FROM data LEFT JOIN `read_csv`('{}')",
        ),
        *(
            "SELECT read_csv('{}')",
            "FROM read_csv('{}')",
            'TABLE "{}"',
            "SELECT * FROM a.data",
            "SELECT * INTO x FROM data",
        ),
        *(
            "SELECT 1; SELECT 2",
            "DROP TABLE data",
            "DELETE FROM data",
            "EXPLAIN SELECT 1",
            "SHOW TABLES",
            "",
            ";",
            "VALUES (1)",
        ),
        *(
            "SELECT * FROM data FOR UPDATE",
            "SELECT * FROM data TABLESAMPLE (1)",
            "SELECT * FROM UNNEST([1])",
            "SELECT $1, ?",
        ),
        *(
            "COPY data TO 'x'",
            "SELECT {{{{x}}}} FROM data",
            "SELECT nothing_known(1) FROM data",
            "SELECT " + "(" * 5000,
        ),
    ],
)
def test_nothing_else_is_answered(tmp_path: Path, query: str) -> None:
    place = tmp_path / "other.csv"
    place.write_text("x\nsecret\n")
    with pytest.raises(ValueError, match=r"^[^\n\x1b]+$"):
        checked_query(query.format(place), "data")


@pytest.mark.parametrize("condition", ["camera >= 1 AND identity = 'a'", "quality.shift > 0.3", "NOT identity ~ '^a'"])
def test_a_condition_means_the_same_when_it_is_written_anew(condition: str) -> None:
    again = checked_expression(condition)
    assert FRAME.filter(pl.sql_expr(again)).equals(FRAME.filter(pl.sql_expr(condition)))


@pytest.mark.parametrize(
    "condition",
    [
        *("", "(", "camera = 1; x", "a = 1) OR (b = 2", "camera = 1 x", "camera AS x", "camera IN (SELECT 1)"),
        *("EXISTS (SELECT 1 FROM read_csv('x'))", "read_csv('x') = 1", "`camera` = 1", "(" * 5000, "?"),
    ],
)
def test_a_condition_is_one_expression(condition: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n\x1b]+$"):
        checked_expression(condition)


def test_the_listed_functions_are_those_of_polars() -> None:
    unknown = []
    for name in sorted(_FUNCTIONS):
        try:
            pl.SQLContext(data=FRAME).execute(f"SELECT {name}(camera) FROM data", eager=True)
        except Exception as error:
            if "unsupported function" in str(error):
                unknown.append(name)
    assert unknown == []
