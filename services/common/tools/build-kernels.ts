/**
 * Compiles the kernels written as WebAssembly text into modules beside them, as base64 in a .ts
 * file: no build step stands between the sources and a running process. A test compiles again and
 * compares.
 *
 *     node services/common/tools/build-kernels.ts
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import wabt from 'wabt'

const SOURCES = join(import.meta.dirname, '..', 'src')

/** Kernels by the path of their text, less its ending. */
export const KERNELS = [
  'parquet/bloom-kernels',
  'otlp/chunk-hash-kernels',
  'log/crc32c-kernels',
].map((path) => join(SOURCES, path))

/** The text of the module `<path>.ts` for the current `<path>.wat`. */
export async function compileKernels(path: string): Promise<string> {
  const toolkit = await wabt()
  const name = basename(path)
  const source = readFileSync(`${path}.wat`, 'utf8')
  const module = toolkit.parseWat(`${name}.wat`, source, { simd: true })
  try {
    module.validate()
    const { buffer } = module.toBinary({ write_debug_names: false })
    const lines =
      Buffer.from(buffer)
        .toString('base64')
        .match(/.{1,92}/g) ?? []
    return [
      `// Made from ${name}.wat by tools/build-kernels.ts; do not edit.`,
      `export const ${name.toUpperCase().replaceAll('-', '_')}_BASE64 = \``,
      ...lines,
      '`',
      '',
    ].join('\n')
  } finally {
    module.destroy()
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const path of KERNELS) writeFileSync(`${path}.ts`, await compileKernels(path))
}
