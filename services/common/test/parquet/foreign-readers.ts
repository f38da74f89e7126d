/** What PyArrow and DuckDB read from Parquet files, as canonical text, and PyArrow's metadata. */
import { runPython } from '../../src/testing/python.ts'

const SCRIPT = String.raw`
import json, struct, sys
import duckdb, pyarrow as pa, pyarrow.parquet as pq

def leaf(kind, value):
    if value is None: return None
    if kind == 'double': return struct.pack('<d', value).hex()
    if kind == 'text': return value.encode('utf-8').hex()
    if kind == 'bytes': return bytes(value).hex()
    if kind == 'bool': return bool(value)
    return str(value)

def kind_of(type):
    if isinstance(type, pa.BaseExtensionType): return kind_of(type.storage_type)
    if pa.types.is_boolean(type): return 'bool'
    if pa.types.is_integer(type): return 'int'
    if pa.types.is_floating(type): return 'double'
    if pa.types.is_string(type) or pa.types.is_large_string(type): return 'text'
    if pa.types.is_binary(type) or pa.types.is_large_binary(type): return 'bytes'
    raise Exception('unexpected type ' + str(type))

def plain(type):
    "int64 for timestamps, at every level"
    if pa.types.is_timestamp(type):
        assert type.tz is not None, 'UTC is stated'
        assert type.unit == 'us', type.unit
        return pa.int64()
    if pa.types.is_list(type) or pa.types.is_large_list(type): return pa.list_(pa.field('element', plain(type.value_type)))
    if pa.types.is_struct(type): return pa.struct([pa.field(f.name, plain(f.type)) for f in type])
    if isinstance(type, pa.BaseExtensionType): return type.storage_type
    return type

def canonical(type, value):
    if value is None: return None
    if pa.types.is_list(type): return [canonical(type.value_type, v) for v in value]
    if pa.types.is_struct(type): return [canonical(f.type, value[f.name]) for f in type]
    return leaf(kind_of(type), value)

def rows(table):
    columns = {}
    for name in table.column_names:
        column = table.column(name)
        type = plain(column.type)
        if not column.type.equals(type): column = column.cast(type)
        columns[name] = [canonical(type, v) for v in column.to_pylist()]
    return columns

answers = []
for path in json.loads(sys.argv[1]):
    file = pq.ParquetFile(path, page_checksum_verification=True)
    connection = duckdb.connect()
    connection.execute("set timezone='UTC'")
    duck = connection.execute('select * from read_parquet(?)', [path]).to_arrow_table()
    answers.append({
        'pyarrow': rows(file.read()),
        'duckdb': rows(duck),
        'schema': str(file.schema),
        'rowGroups': file.metadata.num_row_groups,
    })
json.dump(answers, sys.stdout)
`

export interface ForeignAnswer {
  readonly pyarrow: Readonly<Record<string, readonly unknown[]>>
  readonly duckdb: Readonly<Record<string, readonly unknown[]>>
  readonly schema: string
  readonly rowGroups: number
}

/** One Python process for all files: its imports cost more than the reading. */
export function readForeign(paths: readonly string[]): ForeignAnswer[] {
  return JSON.parse(runPython(SCRIPT, [JSON.stringify(paths)])) as ForeignAnswer[]
}
