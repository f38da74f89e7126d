/** What a development cluster remembers from one start to the next, in `up.json` of its data folder. */
import { randomBytes } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { AppError } from '@tributary/common/errors'

export interface UpState {
  /** Tells containers and volumes of this folder from those of others. */
  readonly id: string
  readonly kafkaPort: number
  readonly redisPort: number
  readonly storePort: number
  /** Kafka's name of itself: with it the commit chains go on. */
  readonly clusterId: string
  readonly secretAccessKey: string
}

const FILE = 'up.json'
/** Where each server listens by itself, so that nothing has to be looked up. */
const USUAL_PORTS = { kafkaPort: 9092, redisPort: 6379, storePort: 7070 }

/** @throws AppError invalid_config for a file that can not be understood */
export async function readUpState(folder: string): Promise<UpState> {
  let text: string
  try {
    text = await readFile(join(folder, FILE), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return {
      ...USUAL_PORTS,
      id: randomBytes(4).toString('hex'),
      clusterId: kafkaId(),
      secretAccessKey: randomBytes(16).toString('hex'),
    }
  }
  const state = parse(text)
  if (state !== undefined) return state
  throw new AppError('invalid_config', 'file of the cluster can not be understood', {
    details: { file: join(folder, FILE) },
  })
}

export async function writeUpState(folder: string, state: UpState): Promise<void> {
  const path = join(folder, FILE)
  await writeFile(`${path}.tmp`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 })
  await rename(`${path}.tmp`, path)
}

function parse(text: string): UpState | undefined {
  try {
    const state = JSON.parse(text) as Partial<UpState>
    const { id, clusterId, secretAccessKey, kafkaPort, redisPort, storePort } = state
    const isWhole =
      [id, clusterId, secretAccessKey].every((part) => typeof part === 'string') &&
      [kafkaPort, redisPort, storePort].every((port) => Number.isInteger(port))
    return isWhole ? (state as UpState) : undefined
  } catch {
    return undefined
  }
}

/** 16 random bytes as Kafka writes ids: never with a hyphen first. */
function kafkaId(): string {
  const id = randomBytes(16).toString('base64url')
  return id.startsWith('-') ? kafkaId() : id
}
