"""Has Spark read the file of spark-fixture.ts and compares every value with what was written.

    pip install pyspark          (and Java 17)
    node services/common/test/parquet/spark-fixture.ts FOLDER
    python services/common/test/parquet/spark-check.py FOLDER

Once with the vectorized reader, once with the row reader; ends with 1 on any difference.
"""

import json
import os
import struct
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T


def canonical(kind, value):
    if value is None:
        return None
    if isinstance(kind, T.ArrayType):
        return [canonical(kind.elementType, element) for element in value]
    if isinstance(kind, T.StructType):
        return [canonical(field.dataType, value[field.name]) for field in kind.fields]
    if isinstance(kind, T.BooleanType):
        return value
    if isinstance(kind, T.DoubleType):
        return struct.pack("<d", value).hex()
    if isinstance(kind, T.StringType):
        return value.encode().hex()
    if isinstance(kind, T.BinaryType):
        return bytes(value).hex()
    return str(value)


def in_micros(column, kind):
    return F.unix_micros(column) if isinstance(kind, T.TimestampType) else column


def selected(field):
    column = F.col(f"`{field.name}`")
    kind = field.dataType
    if isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.StructType):
        leaves = kind.elementType.fields

        def struct_in_micros(element):
            parts = [in_micros(element[leaf.name], leaf.dataType).alias(leaf.name) for leaf in leaves]
            return F.when(element.isNotNull(), F.struct(*parts))

        return F.transform(column, struct_in_micros).alias(field.name)
    return in_micros(column, kind).alias(field.name)


def differences(folder, vectorized):
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.parquet.enableVectorizedReader", vectorized)
        .config("spark.sql.parquet.enableNestedColumnVectorizedReader", vectorized)
        .getOrCreate()
    )
    table = spark.read.parquet(os.path.join(folder, "every-column.parquet"))
    with open(os.path.join(folder, "expected.json")) as file:
        expected = json.load(file)
    read = table.select(*[selected(field) for field in table.schema.fields])
    rows = read.collect()
    wrong = [
        field.name
        for field in read.schema.fields
        if [canonical(field.dataType, row[field.name]) for row in rows] != expected[field.name]
    ]
    missing = sorted(set(expected) - {field.name for field in read.schema.fields})
    # row groups and pages are pruned by statistics and indexes before these rows are found
    value = next(text for text in expected["text_runs"] if text is not None)
    found = table.filter(F.col("text_runs") == bytes.fromhex(value).decode()).count()
    if found != expected["text_runs"].count(value):
        wrong.append(f"filter on text_runs: {found} rows")
    print(f"Spark {spark.version}, vectorized {vectorized}: {len(rows)} rows, wrong {wrong + missing}")
    spark.stop()
    return wrong + missing


if __name__ == "__main__":
    problems = [name for vectorized in ("true", "false") for name in differences(sys.argv[1], vectorized)]
    sys.exit(1 if problems else 0)
