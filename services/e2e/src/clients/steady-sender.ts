/**
 * Clients that go on sending log records while the process stops under them, and note for each
 * record what they heard.
 */
import { SeverityNumber } from '@opentelemetry/api-logs'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  BatchLogRecordProcessor,
  LoggerProvider,
  type LogRecordExporter,
  type ReadableLogRecord,
} from '@opentelemetry/sdk-logs'
import { setTimeout as sleep } from 'node:timers/promises'

/** What a client has heard so far: it grows while the client runs. */
export class SentRecords {
  readonly acknowledged: string[] = []
  /** One line per answer that was not a success: a status code or the code of a socket error. */
  readonly refusals: string[] = []

  /** Waits until so many more records were acknowledged. */
  async acknowledgedMore(count: number): Promise<void> {
    const wanted = this.acknowledged.length + count
    for (const deadline = Date.now() + HEARD_TIMEOUT_MS; Date.now() < deadline;) {
      if (this.acknowledged.length >= wanted) return
      await sleep(POLL_MS)
    }
    throw new Error(`only ${String(this.acknowledged.length)} of ${String(wanted)} acknowledged`)
  }
}

const PAUSE_MS = 2
const POLL_MS = 10
const HEARD_TIMEOUT_MS = 60_000

/** Sends single records by plain HTTP without retries until told to stop. */
export async function sendByHttp(
  url: string,
  name: string,
  stop: AbortSignal,
  { acknowledged, refusals }: SentRecords,
): Promise<void> {
  for (let index = 0; !stop.aborted; index++) {
    const id = `${name}-${String(index)}`
    const record = { timeUnixNano: '1700000000000000001', body: { stringValue: id } }
    try {
      const answer = await fetch(`${url}/v1/logs`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords: [record] }] }] }),
      })
      await answer.arrayBuffer()
      if (answer.status === 200) acknowledged.push(id)
      else refusals.push(`${String(answer.status)} ${answer.headers.get('retry-after') ?? 'never'}`)
    } catch (error) {
      refusals.push(String(((error as Error).cause as { code?: string } | undefined)?.code))
    }
    await sleep(PAUSE_MS)
  }
}

/** Logs through the SDK, which retries what it may, until told to stop; then waits for its exports. */
export async function sendBySdk(
  inner: LogRecordExporter,
  service: string,
  stop: AbortSignal,
  { acknowledged, refusals }: SentRecords,
): Promise<void> {
  const noting: LogRecordExporter = {
    export: (batch: ReadableLogRecord[], callback) => {
      inner.export(batch, (result) => {
        if (result.error === undefined)
          acknowledged.push(...batch.map(({ body }) => body as string))
        else refusals.push(result.error.message)
        callback(result)
      })
    },
    forceFlush: () => inner.forceFlush(),
    shutdown: () => inner.shutdown(),
  }
  const provider = new LoggerProvider({
    resource: resourceFromAttributes({ 'service.name': service }),
    processors: [new BatchLogRecordProcessor({ exporter: noting, scheduledDelayMillis: 10 })],
  })
  const logger = provider.getLogger('steady')
  for (let index = 0; !stop.aborted; index++) {
    logger.emit({
      timestamp: [1_700_000_000, index],
      severityNumber: SeverityNumber.INFO,
      body: `${service}-${String(index)}`,
    })
    await sleep(PAUSE_MS)
  }
  await provider.forceFlush()
  await provider.shutdown()
}
