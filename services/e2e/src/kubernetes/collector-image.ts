/** The image of the OpenTelemetry Collector that the tests have built. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { findCollector } from '@tributary/common/testing/collector-programs'

import { makeRoot, writeImage } from './image-archive.ts'

export const COLLECTOR_IMAGE = 'localhost/otelcol:under-test'

/** Writes the archive into a folder, unless it is there. */
export async function makeCollectorImage(folder: string): Promise<string> {
  const out = join(folder, 'otelcol.tar')
  if (existsSync(out)) return out
  const root = mkdtempSync(join(tmpdir(), 'tributary-otelcol-'))
  try {
    // Go programs are linked with nothing; the shell brings the libraries of a root
    makeRoot(root, { 'bin/sh': '/bin/sh', otelcol: findCollector() })
    await writeImage({
      out,
      name: COLLECTOR_IMAGE,
      layers: [root],
      entrypoint: ['/otelcol'],
      environment: ['PATH=/bin'],
      workingFolder: '/data',
    })
    return out
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}
