"""Reads files with DuckDB and PyArrow and prints every claim of theirs that is not true.

check-files.py FILES: a JSON list of {path, rowGroupRowsMax, exact, indexes}, where `exact` has for each
row group and column [is_min_exact, is_max_exact] and `indexes` its pages as page-indexes.ts reads them.
Prints {"problems": [...], "checked": {...}}.
"""

import json
import random
import struct
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

problems = []
checked = {"cells": 0, "chunks": 0, "pages": 0, "sorted": 0, "present": 0, "excluded": 0, "absent": 0, "inexact": 0}
UNPACK = {"INT32": "<i", "INT64": "<q", "DOUBLE": "<d", "BOOLEAN": "<?"}
NAMESPACES = ("resource", "scope", "attributes")
OVERFLOWS = {f"{name}._overflow" for name in NAMESPACES}
PROBED_MAX = 60
ABSENT = 12
KEYS = "format_version tenant signal topic partition start end rows time_min time_max schema_version columns writer_version"


def storage(array):
    "times as ints, JSON as text, all the way down"
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if pa.types.is_timestamp(array.type):
        return array.cast(pa.int64())
    return array


def bits(cell):
    if isinstance(cell, float):
        return struct.pack("<d", cell)
    if isinstance(cell, list):
        return [bits(inner) for inner in cell]
    if isinstance(cell, dict):
        return {name: bits(inner) for name, inner in cell.items()}
    return cell


def are_same(left, right):
    "quick and sure where true; cells that it can not compare by their bits are compared one by one"
    if pa.types.is_nested(left.type) or left.type != right.type:
        return False
    if pa.types.is_floating(left.type):
        left, right = (side.view(pa.int64()) for side in (left, right))
    return left.equals(right)


def leaf(array, path):
    "the values of a leaf column that are not null; whole rows' order is kept"
    array = storage(array)
    for _ in range(path.count(".list.element")):
        # not flatten(), which can not copy JSON inside lists; what Parquet reads has no rows below null lists
        array = array.values[array.offsets[0].as_py() : array.offsets[-1].as_py()]
    if pa.types.is_struct(array.type):
        names = [field.name for field in array.type]
        array = array.flatten()[names.index(path.rsplit(".", 1)[1])]
    return storage(array)


def values(array):
    return [cell.encode() if isinstance(cell, str) else cell for cell in array.to_pylist()]


def raw(physical, data):
    data = bytes.fromhex(data) if isinstance(data, str) else data
    if physical == "BYTE_ARRAY" or not isinstance(data, bytes):
        return data
    return struct.unpack(UNPACK[physical], data)[0]


def say(*parts):
    problems.append(" ".join(str(part) for part in parts)[:300])


def check_bounds(where, found, low, high, exact=(False, False)):
    if not found:
        return
    if not (low <= min(found) and max(found) <= high):
        say(where, "bounds", low, high, "are not those of", min(found), max(found))
    if exact[0] and low != min(found) or exact[1] and high != max(found):
        say(where, "bounds stated as exact are not")


def check_cells(path, table):
    con = duckdb.connect()
    con.execute("set timezone='UTC'")
    query = "select * from read_parquet(?, hive_partitioning=false)"
    duck = con.sql(query, params=[path]).to_arrow_table()
    if duck.column_names != table.column_names or duck.num_rows != table.num_rows:
        return say(path, "DuckDB has other columns or rows")
    for name in table.column_names:
        left, right = (storage(side.column(name).combine_chunks()) for side in (table, duck))
        checked["cells"] += len(left)
        if are_same(left, right):
            continue
        left = [bits(cell) for cell in left.to_pylist()]
        right = [bits(cell) for cell in right.to_pylist()]
        for row, (ours, theirs) in enumerate(zip(left, right)):
            if ours != theirs:
                say(path, name, row, "PyArrow", ours, "DuckDB", theirs)
                break


def check_chunk(where, chunk, array, exact, index):
    is_flat = "." not in chunk.path_in_schema or len(array) == chunk.num_values
    found = [cell for cell in values(array) if cell is not None]
    statistics = chunk.statistics
    physical = chunk.physical_type
    checked["chunks"] += 1
    if statistics is None or not statistics.has_null_count:
        return say(where, "no null count")
    if statistics.null_count != chunk.num_values - len(found):
        say(where, "null count", statistics.null_count, "of", chunk.num_values - len(found))
    has_nan = any(cell != cell for cell in found)
    if has_nan and statistics.has_min_max:
        say(where, "bounds beside NaN")
    if found and not has_nan:
        if statistics.has_min_max:
            check_bounds(where, found, raw(physical, statistics.min_raw), raw(physical, statistics.max_raw), exact)
            checked["inexact"] += exact != [True, True]
        elif physical != "BYTE_ARRAY":
            say(where, "no bounds")
    if index is None or not is_flat:
        return
    everything = values(array)
    starts = index["firstRows"] + [len(everything)]
    for page, (start, end) in enumerate(zip(starts, starts[1:])):
        checked["pages"] += 1
        held = [cell for cell in everything[start:end] if cell is not None]
        if index["nullCounts"] and index["nullCounts"][page] != end - start - len(held):
            say(where, "page", page, "null count")
        if index["nullPages"][page] != (not held):
            say(where, "page", page, "null page")
        if held:
            low, high = (raw(physical, index[name][page]) for name in ("mins", "maxs"))
            check_bounds(f"{where} page {page}", held, low, high)


def order_of(metadata, group, table):
    "the sort key of each row, nulls first"
    keys = []
    for column in metadata.row_group(group).sorting_columns:
        assert column.nulls_first and not column.descending
        name = metadata.row_group(group).column(column.column_index).path_in_schema
        keys.append([(cell is not None, cell) for cell in values(storage(table.column(name).combine_chunks()))])
    return list(zip(*keys))


def check_bloom(path, column, groups):
    con = duckdb.connect()
    quoted = path.replace("'", "''")

    def excludes(value):
        query = f"select row_group_id, bloom_filter_excludes from parquet_bloom_probe('{quoted}', '{column}', {value})"
        return dict(con.execute(query).fetchall())

    def literal(value):
        return f"'{value}'" if isinstance(value, str) else f"{value}::bigint"

    everything = sorted(set().union(*groups))
    random.seed(1)
    for value in random.sample(everything, min(PROBED_MAX, len(everything))):
        checked["present"] += 1
        answer = excludes(literal(value))
        for group, held in enumerate(groups):
            if value in held and answer[group]:
                say(path, column, value, "is in row group", group, "which its bloom filter excludes")
    if not everything:
        return
    for _ in range(ABSENT):
        digits = len(everything[0]) if isinstance(everything[0], str) else None
        value = f"{random.getrandbits(4 * digits):0{digits}x}" if digits else random.getrandbits(62)
        answer = [excluded for group, excluded in excludes(literal(value)).items() if groups[group]]
        checked["absent"] += len(answer)
        checked["excluded"] += sum(answer)


def check_file(path, rowGroupRowsMax, exact, indexes):
    file = pq.ParquetFile(path, page_checksum_verification=True)
    metadata = file.metadata
    keys = {key.decode(): value.decode() for key, value in metadata.metadata.items()}
    for key in KEYS.split():
        if f"tributary.{key}" not in keys:
            say(path, "no key", key)
    table = file.read()
    named = {name for name in table.column_names if name.split(".")[0] in NAMESPACES and "." in name}
    mapped = {name for name in json.loads(keys["tributary.columns"])}
    if int(keys["tributary.rows"]) != metadata.num_rows or mapped != named - OVERFLOWS:
        say(path, "keys do not tell the file", mapped ^ (named - OVERFLOWS))
    check_cells(path, table)
    times = [cell for cell in storage(table.column("timestamp").combine_chunks()).to_pylist()]
    if [min(times), max(times)] != [int(keys[f"tributary.time_{side}"]) // 1000 for side in ("min", "max")]:
        say(path, "time_min and time_max", keys["tributary.time_min"], keys["tributary.time_max"])
    ids = {name: [] for name in ("trace_id", "span_id", "series_id") if name in table.column_names}
    last = None
    for group in range(metadata.num_row_groups):
        rows = file.read_row_group(group)
        if rows.num_rows > rowGroupRowsMax:
            say(path, "row group of", rows.num_rows)
        for column in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(column)
            # a name of a flat column may have dots too
            top = chunk.path_in_schema.split(".list.element")[0]
            array = leaf(rows.column(top).combine_chunks(), chunk.path_in_schema)
            where = f"{path} group {group} {chunk.path_in_schema}"
            check_chunk(where, chunk, array, exact[group][column], indexes[group][column])
        for name in ids:
            ids[name].append({cell for cell in rows.column(name).to_pylist() if cell})
        order = order_of(metadata, group, rows)
        checked["sorted"] += len(order)
        if order != sorted(order) or (last is not None and order[0] < last):
            say(path, "row group", group, "is not in the stated order")
        last = order[-1]
    for name, groups in ids.items():
        check_bloom(path, name, groups)


for file in json.load(sys.stdin):
    check_file(**file)
json.dump({"problems": problems, "checked": checked}, sys.stdout)
