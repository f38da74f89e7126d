/**
 * Compiles src/parquet/bloom-kernels.wat into the module beside it, as base64 in a .ts file: no
 * build step stands between the sources and a running process. A test compiles again and compares.
 *
 *     node services/common/tools/build-kernels.ts
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import wabt from 'wabt'

const FOLDER = join(import.meta.dirname, '..', 'src', 'parquet')
const SOURCE = join(FOLDER, 'bloom-kernels.wat')
export const KERNELS_PATH = join(FOLDER, 'bloom-kernels.ts')

/** The text of bloom-kernels.ts for the current source. */
export async function compileKernels(): Promise<string> {
  const toolkit = await wabt()
  const module = toolkit.parseWat('bloom-kernels.wat', readFileSync(SOURCE, 'utf8'))
  try {
    module.validate()
    const { buffer } = module.toBinary({ write_debug_names: false })
    const lines =
      Buffer.from(buffer)
        .toString('base64')
        .match(/.{1,92}/g) ?? []
    return [
      '// Made from bloom-kernels.wat by tools/build-kernels.ts; do not edit.',
      'export const BLOOM_KERNELS_BASE64 = `',
      ...lines,
      '`',
      '',
    ].join('\n')
  } finally {
    module.destroy()
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(KERNELS_PATH, await compileKernels())
}
