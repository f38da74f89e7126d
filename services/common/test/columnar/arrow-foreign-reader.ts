/** What PyArrow and apache-arrow find in Arrow streams, as the texts of random-batch.ts. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { DataType, tableFromIPC } from 'apache-arrow'

import { runPython } from '../../src/testing/python.ts'
import { cellText, type ColumnTexts } from './random-batch.ts'
import type { Cell } from '../../src/columnar/batch-rows.ts'

const PYTHON_READER = `
import json, struct, sys
import pyarrow as pa

def text(value, kind):
    if value is None: return None
    if isinstance(value, bool): return 'true' if value else 'false'
    if isinstance(value, int): return 'i:%d' % value
    if isinstance(value, float): return 'd:' + struct.pack('>d', value).hex()
    if isinstance(value, str): return 's:' + value
    if isinstance(value, bytes): return 'b:' + value.hex()
    return '[' + ','.join(text(item, kind) for item in value) + ']'

folder, count = sys.argv[1], int(sys.argv[2])
for index in range(count):
    with pa.ipc.open_stream('%s/%d.arrow' % (folder, index)) as reader:
        table = reader.read_all()
    table.validate(full=True)
    types = {field.name: str(field.type) for field in table.schema}
    texts = {field.name: [text(value, field.type) for value in column.to_pylist()]
             for field, column in zip(table.schema, table.columns)}
    with open('%s/%d.json' % (folder, index), 'w') as out:
        json.dump({'rows': table.num_rows, 'types': types, 'texts': texts}, out)
`

export interface ForeignBatch {
  readonly rows: number
  /** Column name to Arrow type as PyArrow writes it. */
  readonly types: Record<string, string>
  readonly texts: ColumnTexts
}

/** Opens streams in PyArrow, which validates every array in full. */
export function readWithPyarrow(streams: readonly Uint8Array[]): ForeignBatch[] {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-arrow-'))
  try {
    streams.forEach((stream, index) => writeFileSync(join(folder, `${index}.arrow`), stream))
    runPython(PYTHON_READER, [folder, String(streams.length)])
    return streams.map((_, index) => {
      return JSON.parse(readFileSync(join(folder, `${index}.json`), 'utf8')) as ForeignBatch
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

export function readWithApacheArrow(stream: Uint8Array): ColumnTexts {
  const table = tableFromIPC(stream)
  const texts: ColumnTexts = Object.create(null) as ColumnTexts
  table.schema.fields.forEach((field, index) => {
    const vector = table.getChildAt(index)!
    const isList = DataType.isList(field.type)
    const valueType = (isList ? field.type.children[0]!.type : field.type) as DataType
    const isDouble = DataType.isFloat(valueType)
    texts[field.name] = Array.from({ length: table.numRows }, (_, row) => {
      const value: unknown = vector.get(row)
      return cellText(isList && value !== null ? listOf(value) : (value as Cell), isDouble)
    })
  })
  return texts
}

function listOf(value: unknown): Cell {
  return [...(value as Iterable<number>)]
}
