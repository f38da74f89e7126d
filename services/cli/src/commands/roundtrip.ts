import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

import { processEnvironment } from '@tributary/common/config/config'
import { duration, integer } from '@tributary/common/config/setting'
import { parseSettings } from '@tributary/common/config/setting-table'
import { AppError } from '@tributary/common/errors'
import type { ObjectStore } from '@tributary/common/object-store/object-store'

import { ExitStatus } from '../command.ts'
import type { Command } from '../command.ts'
import type { Endpoint } from '../conformance/conformance-case.ts'
import { checkEndpoint, endpointSettings, tlsOf } from '../otlp-endpoint.ts'
import { readCommittedFiles } from '../query/committed-files.ts'
import { cacheSettings } from '../query/local-files.ts'
import { findItems } from '../roundtrip/find-items.ts'
import { markedItems, sendItem } from '../roundtrip/marked-items.ts'
import type { MarkedItem } from '../roundtrip/marked-items.ts'
import { openStore, storeLocationSettings } from '../store-options.ts'
import type { Terminal } from '../terminal.ts'

const roundtripSettings = {
  items: integer({
    default: 30,
    min: 1,
    max: 10_000,
    sentence: 'Log records, spans and data points to send, of each.',
  }),
  waitMs: duration({
    default: 180_000,
    min: 1000,
    max: 3_600_000,
    sentence: 'How long items may take from the first send to a committed file.',
  }),
}
const settings = {
  ...endpointSettings,
  ...roundtripSettings,
  ...cacheSettings,
  ...storeLocationSettings,
}

/** A refused item is sent again after the pause that the server asked for, at most this. */
const PAUSE_MS_MAX = 5000
const LOOK_INTERVAL_MS = 1000
/** Numbers of missing items that a message names. */
const NAMED_MAX = 5

export const roundtripCommand: Command = {
  synopsis: '--grpc HOST:PORT --http URL [flags]',
  description:
    'Sends marked log records, spans and data points to an OTLP endpoint, over every transport and\n' +
    'encoding, waits until they are in committed files of the store, and checks that each is there\n' +
    'exactly once. What helm test runs. Exit status 1 where it is not so.',
  sections: [
    { title: 'Endpoint', table: endpointSettings },
    { title: 'Roundtrip', table: { ...roundtripSettings, ...cacheSettings } },
    { title: 'Store', table: storeLocationSettings },
  ],
  run: runRoundtrip,
}

async function runRoundtrip(args: readonly string[], terminal: Terminal): Promise<number> {
  const { config } = parseSettings(settings, { args, environment: processEnvironment() })
  checkEndpoint(config)
  const endpoint: Endpoint = {
    grpc: config.grpc ?? '',
    http: config.http?.replace(/\/+$/, '') ?? '',
    ...(config.apiKey === undefined
      ? {}
      : { headers: { authorization: `Bearer ${config.apiKey}` } }),
    ...(await tlsOf(config)),
  }
  const startMs = Date.now()
  const deadlineMs = startMs + config.waitMs
  const seconds = (): string => `${((Date.now() - startMs) / 1000).toFixed(1)} s`
  const store = await openStore(config)
  try {
    const known = new Set((await readCommittedFiles(store)).map(({ key }) => key))
    const run = randomUUID()
    const items = markedItems(endpoint, config.items)
    for (const item of items) await untilAccepted(endpoint, run, item, deadlineMs)
    terminal.out.write(`${items.length} items acknowledged after ${seconds()}\n`)
    const search = { store, known, run, config }
    const found = await untilFound(search, items, deadlineMs)
    const problems = problemsOf(items, found)
    for (const problem of problems) terminal.err.write(`${problem}\n`)
    if (problems.length > 0) return ExitStatus.failed
    terminal.out.write(`each in a committed file, once, after ${seconds()}\n`)
    return ExitStatus.ok
  } finally {
    await store.close()
  }
}

async function untilAccepted(
  endpoint: Endpoint,
  run: string,
  item: MarkedItem,
  deadlineMs: number,
): Promise<void> {
  const isGrpc = item.variant.transport === 'grpc'
  for (;;) {
    const answer = await sendItem(endpoint, run, item)
    if (answer.status === (isGrpc ? 0 : 200) && answer.body.length <= EMPTY_ANSWER_BYTES_MAX) return
    const isTemporary = answer.status === undefined || answer.retryDelayMs !== undefined
    if (!isTemporary || Date.now() >= deadlineMs) {
      const { signal, number, variant } = item
      throw new AppError('internal', 'an item was not accepted', {
        cause: answer.failure === '' ? undefined : new Error(answer.failure),
        details: { signal, number, ...variant, status: answer.status, message: answer.message },
      })
    }
    await sleep(Math.min(PAUSE_MS_MAX, answer.retryDelayMs ?? LOOK_INTERVAL_MS))
  }
}

/** `{}` of JSON; protobuf is empty. A partial success is longer: nothing sent here may be rejected. */
const EMPTY_ANSWER_BYTES_MAX = 2

interface Search {
  readonly store: ObjectStore
  /** Keys of files that were there before. */
  readonly known: ReadonlySet<string>
  readonly run: string
  readonly config: Parameters<typeof findItems>[3]
}

async function untilFound(
  { store, known, run, config }: Search,
  items: readonly MarkedItem[],
  deadlineMs: number,
): Promise<ReadonlyMap<string, number>> {
  for (let fileCount = -1; ;) {
    const files = (await readCommittedFiles(store)).filter(({ key }) => !known.has(key))
    const isLate = Date.now() >= deadlineMs
    if (files.length !== fileCount || isLate) {
      fileCount = files.length
      const found = await findItems(store, files, run, config)
      if (found.size === items.length || isLate) return found
    }
    await sleep(LOOK_INTERVAL_MS)
  }
}

function problemsOf(items: readonly MarkedItem[], found: ReadonlyMap<string, number>): string[] {
  const names = items.map(({ signal, number }) => `${signal}/${number}`)
  const missing = names.filter((name) => !found.has(name))
  const double = names.filter((name) => (found.get(name) ?? 0) > 1)
  const list = (wrong: readonly string[]): string =>
    wrong.slice(0, NAMED_MAX).join(', ') + (wrong.length > NAMED_MAX ? ', ...' : '')
  return [
    ...(missing.length === 0 ? [] : [`${missing.length} items are not there: ${list(missing)}`]),
    ...(double.length === 0 ? [] : [`${double.length} items are there twice: ${list(double)}`]),
  ]
}
