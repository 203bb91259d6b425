"""Runs KQL on sample rows, in DuckDB."""

import datetime
import json
import re
import uuid

import duckdb_kql

Row = dict[str, object]
Columns = dict[str, str]

_DUCKDB_TYPES = {
    "bool": "BOOLEAN",
    "datetime": "TIMESTAMP",
    "dynamic": "JSON",
    "guid": "UUID",
    "int": "INTEGER",
    "long": "BIGINT",
    "real": "DOUBLE",
    "string": "VARCHAR",
}
# Kusto keeps the time of ingestion beside the row; here it is a column of the sample.
_INGESTED = "_IngestionTime"
# A column that a workspace may lack, and what stands for it then.
_OPTIONAL = re.compile(r'column_ifexists\("(\w+)", (\w+\(\w+\))\)')


class Workspace:
    """Tables with the rows of one sample."""

    def __init__(self, now: str, tables: dict[str, Columns], rows: dict[str, list[Row]]) -> None:
        self._now = now
        self._connection = duckdb_kql.connect()
        self._columns = {column for columns in tables.values() for column in columns}
        for name, columns in tables.items():
            self._create(name, columns | {_INGESTED: "datetime"}, rows.get(name, []))

    def _create(self, name: str, columns: Columns, rows: list[Row]) -> None:
        declared = ", ".join(f'"{column}" {_DUCKDB_TYPES[kind]}' for column, kind in columns.items())
        self._connection.execute(f'CREATE TABLE "{name}" ({declared})')
        for row in rows:
            values = [
                json.dumps(value) if isinstance(value, dict | list) else value for value in row.values()
            ]
            names = ", ".join(f'"{column}"' for column in row)
            marks = ", ".join("?" * len(values))
            self._connection.execute(f'INSERT INTO "{name}" ({names}) VALUES ({marks})', values)

    def _optional(self, named: re.Match[str]) -> str:
        return named[1] if named[1] in self._columns else named[2]

    def run(self, query: str) -> list[Row]:
        """Return the rows of a query's result as JSON carries them: what is null is left out."""
        text = _OPTIONAL.sub(self._optional, query.replace("ingestion_time()", _INGESTED))
        result = duckdb_kql.query(self._connection, text, query_now=self._now)
        return [
            {
                column: _plain(value)
                for column, value in zip(result.columns, row, strict=True)
                if value is not None
            }
            for row in result.fetchall()
        ]


def _plain(value: object) -> object:
    match value:
        case datetime.datetime():
            return value.isoformat() + "Z"
        case uuid.UUID():
            return str(value)
        case float():
            return round(value, 6)
        case _:
            return value
