/**
 * A flush worker thread: takes one table at a time, asks the main thread for column names (only it
 * writes the schema chain), leaves finished files in the spool directory. It keeps nothing between
 * tables but warm code.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { AppError, toAppError } from '@tributary/common/errors'
import { failpointSync } from '@tributary/common/failpoint'
import { SchemaState } from '@tributary/common/schema/schema-state'
import assert from 'node:assert/strict'
import type { FailureMessage, FromWorker, ToWorker } from './flush-messages.ts'
import { SpoolFile } from './spool-file.ts'
import { writeTable, type TableJob, type TableServices } from './table-writer.ts'

const port = parentPort
assert(port !== null, 'a flush worker runs in a worker thread')
const { spoolDirectory } = workerData as { spoolDirectory: string }

let schemaAnswer: PromiseWithResolvers<SchemaState> | undefined

function send(message: FromWorker): void {
  port!.postMessage(message)
}

async function run(id: number, job: TableJob): Promise<void> {
  const services: TableServices = {
    schemaOf(wanted) {
      schemaAnswer = Promise.withResolvers<SchemaState>()
      send({ kind: 'schema-wanted', id, wanted })
      return schemaAnswer.promise
    },
    createFile() {
      failpointSync('flush:encode')
      return new SpoolFile(spoolDirectory)
    },
  }
  try {
    failpointSync('flush:encode-start')
    const result = await writeTable(job, services)
    failpointSync('flush:encode-end')
    send({ kind: 'done', id, result })
  } catch (error) {
    send({ kind: 'failed', id, failure: failureOf(error) })
  }
}

function failureOf(error: unknown): FailureMessage {
  const { code, message, details, cause } = toAppError(error)
  const stack = cause instanceof Error ? { cause: cause.stack } : {}
  return { code, message, details: { ...details, ...stack } }
}

port.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'table':
      void run(message.id, message.job)
      break
    case 'schema':
      schemaAnswer?.resolve(SchemaState.restore(message.schema))
      break
    case 'schema-failed': {
      const { code, message: text, details } = message.failure
      schemaAnswer?.reject(new AppError(code, text, { details }))
      break
    }
  }
})
