"""SQL over many files answers as polars does on the same rows in memory, which h5py read."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import nwb_dask
from tests.adapters.sql_sessions import frames_in_memory, write_sessions

ENGINES: list[Literal["in-memory", "streaming"]] = ["in-memory", "streaming"]

QUERIES = {
    "everything": 'SELECT * FROM "/units"',
    "short name": "SELECT id, rate FROM units",
    "other quotes": "SELECT id FROM `/units` WHERE 'good' = quality",
    "from first": 'FROM "/intervals/trials" SELECT start_time',
    "NaN is above every number": "SELECT id, rate FROM units WHERE rate > 0",
    "NaN equals NaN": "SELECT id, rate FROM units WHERE rate = rate",
    "NULL is not equal to NULL": "SELECT id FROM units WHERE NOT (rate > 0)",
    "NULL": "SELECT id, _nwb_path FROM units WHERE rate IS NULL",
    "COALESCE": "SELECT COALESCE(rate, -9.0) AS rate, IFNULL(quality, 'x') AS q FROM units",
    "average with NaN and NULL": "SELECT AVG(rate), MAX(rate), COUNT(rate), COUNT(*) FROM units",
    "empty text": "SELECT id FROM units WHERE quality = '' OR quality LIKE 'g%'",
    "text": "SELECT UPPER(quality) AS q, LENGTH(quality) AS n FROM units WHERE quality ILIKE 'GOOD'",
    "IN and BETWEEN": "SELECT id FROM units WHERE quality IN ('good', 'é') AND count BETWEEN 1 AND 5",
    "limit": "SELECT id, spike_times FROM units LIMIT 3 OFFSET 2",
    "order": "SELECT count, id FROM units ORDER BY count DESC, _nwb_path LIMIT 4",
    "nothing": "SELECT * FROM units LIMIT 0",
    "distinct": "SELECT DISTINCT quality FROM units ORDER BY quality",
    "group": "SELECT quality, COUNT(*) AS n, SUM(count) AS s FROM units GROUP BY quality HAVING n > 1 ORDER BY quality",
    "case": "SELECT CASE WHEN rate > 0 THEN 'high' WHEN rate IS NULL THEN 'none' ELSE 'low' END AS k FROM units",
    "cast": "SELECT count::float8 / 2 AS half, CAST(id AS VARCHAR) AS text FROM units",
    "window": """
        SELECT id, count, ROW_NUMBER() OVER (PARTITION BY _nwb_path ORDER BY count) AS place,
               SUM(count) OVER (PARTITION BY _nwb_path) AS total
        FROM units ORDER BY _nwb_path, place""",
    "length of lists": "SELECT id, ARRAY_LENGTH(spike_times) AS n FROM units WHERE ARRAY_LENGTH(spike_times) > 2",
    "functions of lists": """
        SELECT ARRAY_SUM(spike_times) AS s, ARRAY_MEAN(spike_times) AS m, ARRAY_CONTAINS(spike_times, 2::float8) AS c
        FROM units""",
    "unnested lists": "SELECT id, UNNEST(spike_times) AS t FROM units WHERE count > 2",
    "join with session": """
        SELECT t.id, t.condition, s.subject_id FROM trials AS t JOIN session AS s ON t._nwb_path = s._nwb_path
        WHERE s.subject_id = 'ann' AND t.condition = 'go' ORDER BY s._nwb_path, t.id""",
    "using": """
        SELECT subject_id, COUNT(*) AS n FROM "/units" JOIN session USING (_nwb_path)
        GROUP BY subject_id ORDER BY subject_id""",
    "left join": """
        SELECT session_id, quality FROM session LEFT JOIN units USING (_nwb_path)
        ORDER BY session_id, quality NULLS FIRST""",
    "three tables": """
        SELECT u.id, t.id AS trial, r.data FROM units AS u
        JOIN trials AS t ON u._nwb_path = t._nwb_path AND u._table_index = t._table_index
        JOIN running AS r ON r._nwb_path = t._nwb_path AND r._table_index = t._table_index ORDER BY u.id""",
    "join with itself": """
        SELECT a.id, b.id AS other FROM units AS a JOIN units AS b ON a.count = b.count AND a._nwb_path <> b._nwb_path
        ORDER BY a._nwb_path, a.id, other""",
    "both names of a table": 'SELECT a.id FROM units AS a JOIN "/units" AS b USING (id, _nwb_path) ORDER BY a.id',
    "semi join": "SELECT id FROM units SEMI JOIN running USING (_nwb_path) ORDER BY id",
    "subquery": "SELECT id FROM units WHERE count > (SELECT AVG(count) FROM units)",
    "IN a subquery": """
        SELECT id FROM trials WHERE _nwb_path IN (SELECT _nwb_path FROM session WHERE subject_id = 'ann')
        ORDER BY _nwb_path, id""",
    "subquery for a table": "SELECT q.n FROM (SELECT COUNT(*) AS n, condition c FROM trials GROUP BY c) q ORDER BY n",
    "CTE": """
        WITH good AS (SELECT * FROM "/units" WHERE quality = 'good'), few AS (SELECT id, count FROM good LIMIT 2)
        SELECT * FROM few""",
    "CTE that is called like a table": "WITH trials AS (SELECT id FROM units) SELECT * FROM trials",
    "CTE over the table of its name": "WITH trials AS (SELECT id FROM trials WHERE id > 20) SELECT * FROM trials",
    "union": 'SELECT id FROM units UNION ALL SELECT id FROM "/intervals/trials" ORDER BY id',
    "distinct union": "SELECT id FROM units UNION SELECT id FROM trials ORDER BY id",
    "except": "SELECT condition FROM trials EXCEPT SELECT quality FROM units ORDER BY condition",
    "series": """
        SELECT _nwb_path, AVG(data) AS mean FROM "/acquisition/running" WHERE timestamps >= 0.5
        GROUP BY 1 ORDER BY 1""",
    "no table": "SELECT 1 + 1 AS two",
    "values": "SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(n, t)",
    "comments": "/* units */ -- trials\nSELECT id FROM units -- session",
    "brackets": "(SELECT id FROM units LIMIT 2) UNION ALL (SELECT id + 1 FROM trials LIMIT 1) ORDER BY id",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_sessions(tmp_path_factory.mktemp("sql"))


@pytest.fixture(scope="module")
def memory(files: list[Path]) -> dict[str, pl.DataFrame]:
    return frames_in_memory(files)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_answers_are_those_of_polars_on_the_rows_in_memory(
    files: list[Path], memory: dict[str, pl.DataFrame], query: str, engine: Literal["in-memory", "streaming"]
) -> None:
    expected = pl.SQLContext(memory).execute(query).collect()
    assert_frame_equal(nwb_dask.sql(query, files).collect(engine=engine), expected)
