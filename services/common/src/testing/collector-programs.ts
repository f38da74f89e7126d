/**
 * The OpenTelemetry Collector with the parts that our users put before us, and telemetrygen, as real
 * clients: TRIBUTARY_OTELCOL and TRIBUTARY_TELEMETRYGEN name them, else they are built with Go.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { testPrograms } from '../config/config.ts'
import { findGoProgram, installed, runTool } from '../local-servers/go-program.ts'

/** All modules at one version, the newest at which filelogreceiver can be had from the module proxy. */
const VERSION = 'v0.160.0'
const BUILDER = 'go.opentelemetry.io/collector/cmd/builder@v0.164.0'
const CORE = 'go.opentelemetry.io/collector'
const CONTRIB = 'github.com/open-telemetry/opentelemetry-collector-contrib'
const PARTS = {
  receivers: [
    `${CORE}/receiver/otlpreceiver`,
    `${CONTRIB}/receiver/filelogreceiver`,
    `${CONTRIB}/receiver/hostmetricsreceiver`,
  ],
  processors: [`${CORE}/processor/batchprocessor`],
  exporters: [
    `${CORE}/exporter/otlpexporter`,
    `${CORE}/exporter/otlphttpexporter`,
    `${CORE}/exporter/debugexporter`,
  ],
}

/** The collector program; its first build takes 2 to 4 minutes of one core. */
export function findCollector(): string {
  const given = testPrograms().collector
  if (given !== undefined && given !== '') return given
  return findGoProgram(`otelcol-${VERSION}`, buildCollector, remedy('OTELCOL'))
}

/** The load generator of the OpenTelemetry project. */
export function findTelemetrygen(): string {
  const given = testPrograms().telemetrygen
  if (given !== undefined && given !== '') return given
  const build = installed(`${CONTRIB}/cmd/telemetrygen@${VERSION}`)
  return findGoProgram(`telemetrygen-${VERSION}`, build, remedy('TELEMETRYGEN'))
}

function remedy(name: string): string {
  return `install Go, or set TRIBUTARY_${name} to the path of one`
}

function buildCollector(program: string, folder: string): ReturnType<typeof runTool> {
  const tool = runTool('go', ['install', BUILDER], folder, { GOBIN: folder })
  if (tool.status !== 0) return tool
  const manifest = join(folder, 'manifest.json')
  writeFileSync(manifest, JSON.stringify(manifestOf(program, folder)))
  const args = ['--config', manifest, '--skip-strict-versioning']
  return runTool(join(folder, 'builder'), args, folder)
}

/** The builder reads YAML, and JSON is YAML. */
function manifestOf(program: string, folder: string): object {
  const parts = Object.entries(PARTS).map(([kind, modules]) => [
    kind,
    modules.map((module) => ({ gomod: `${module} ${VERSION}` })),
  ])
  const dist = { name: program.slice(folder.length + 1), output_path: folder }
  return { dist, ...(Object.fromEntries(parts) as object) }
}
