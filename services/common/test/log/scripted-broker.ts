/**
 * A broker that answers as a test says, byte by byte, for what a real one does only on its worst days:
 * leads all partitions of one topic, and speaks the versions that we speak.
 */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'

import { WireReader } from '../../src/log/wire-reader.ts'
import { WireWriter } from '../../src/log/wire-writer.ts'

export const TOPIC = 'scripted'
export const TOPIC_ID = 'scripted-topic-id-AAAA'.slice(0, 21) + 'A'

/** Writes the body of an answer; 'silent' answers nothing, 'cut' ends the connection. */
export type Script = (writer: WireWriter, request: WireReader) => 'silent' | 'cut' | void

const PRODUCE = 0
const FETCH = 1
const LIST_OFFSETS = 2
const METADATA = 3
const API_VERSIONS = 18
const SPOKEN = [
  [PRODUCE, 7],
  [FETCH, 13],
  [LIST_OFFSETS, 5],
  [METADATA, 12],
  [API_VERSIONS, 2],
] as const

export class ScriptedBroker {
  /** One after the other; the last one stays. */
  produce: Script[] = []
  fetch: Script[] = []
  offsets: Script[] = []
  metadata: Script[] = [(writer) => writeMetadata(writer, this.port)]
  /** Requests so far, by kind. */
  readonly seen = { produce: 0, fetch: 0, offsets: 0, metadata: 0 }
  connections = 0
  /** Sent instead of what ApiVersions would answer. */
  versions: readonly (readonly [number, number])[] = SPOKEN
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  constructor() {
    this.#server = createServer((socket) => this.#serve(socket))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  async stop(): Promise<void> {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await once(this.#server, 'close')
  }

  #serve(socket: Socket): void {
    this.connections++
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => undefined)
    let buffered = Buffer.alloc(0)
    socket.on('data', (bytes) => {
      buffered = Buffer.concat([buffered, bytes])
      while (buffered.length >= 4 && buffered.length >= 4 + buffered.readInt32BE(0)) {
        const end = 4 + buffered.readInt32BE(0)
        this.#answer(socket, new WireReader(buffered.subarray(4, end)))
        buffered = buffered.subarray(end)
      }
    })
  }

  #answer(socket: Socket, request: WireReader): void {
    const apiKey = request.int16()
    request.int16()
    const correlationId = request.int32()
    request.string()
    const isFlexible = apiKey === FETCH || apiKey === METADATA
    const writer = new WireWriter().int32(0).int32(correlationId)
    if (isFlexible) {
      request.tags()
      writer.noTags()
    }
    const outcome = this.#script(apiKey)(writer, request)
    if (outcome === 'silent') return
    if (outcome === 'cut') return void socket.destroy()
    const parts = writer.finish()
    parts[0]!.writeInt32BE(writer.bytes - 4, 0)
    socket.write(Buffer.concat(parts))
  }

  #script(apiKey: number): Script {
    if (apiKey === API_VERSIONS) return (writer) => writeVersions(writer, this.versions)
    const kind = ({ [PRODUCE]: 'produce', [FETCH]: 'fetch', [LIST_OFFSETS]: 'offsets' } as const)[
      apiKey
    ]
    const name = kind ?? 'metadata'
    this.seen[name]++
    const scripts = this[name]
    const script = scripts.length > 1 ? scripts.shift() : scripts[0]
    return script ?? (() => 'silent')
  }
}

function writeVersions(writer: WireWriter, versions: readonly (readonly [number, number])[]): void {
  writer.int16(0).arrayLength(versions.length)
  for (const [apiKey, version] of versions) writer.int16(apiKey).int16(0).int16(version)
  writer.int32(0)
}

/** Two partitions of the topic, led by the one broker. */
export function writeMetadata(writer: WireWriter, port: number, topicId = TOPIC_ID): void {
  writer.int32(0).compactArrayLength(1)
  writer.int32(1).compactString('127.0.0.1').int32(port).unsignedVarint(0).noTags()
  writer.compactString('cluster').int32(1).compactArrayLength(1)
  writer.int16(0).compactString(TOPIC).uuid(topicId).int8(0).compactArrayLength(2)
  for (const partition of [0, 1]) {
    writer.int16(0).int32(partition).int32(1).int32(4)
    for (let list = 0; list < 3; list++) writer.compactArrayLength(0)
    writer.noTags()
  }
  writer.int32(0).noTags().noTags()
}

export interface ScriptedResult {
  readonly partition: number
  readonly errorCode?: number
  readonly baseOffset?: bigint
}

export function produceAnswer(results: readonly ScriptedResult[], throttleMs = 0): Script {
  return (writer) => {
    writer.arrayLength(1).string(TOPIC).arrayLength(results.length)
    for (const { partition, errorCode = 0, baseOffset = 5n } of results) {
      writer.int32(partition).int16(errorCode).int64(baseOffset).int64(0n).int64(0n)
    }
    writer.int32(throttleMs)
  }
}

export interface ScriptedFetch {
  readonly partition?: number
  readonly errorCode?: number
  readonly records?: Buffer
  readonly highWatermark?: bigint
  readonly divergesAt?: bigint
}

export function fetchAnswer(fetched: ScriptedFetch, errorCode = 0): Script {
  const { partition = 0, records = Buffer.alloc(0), highWatermark = 100n, divergesAt } = fetched
  return (writer) => {
    writer.int32(0).int16(errorCode).int32(0).compactArrayLength(1).uuid(TOPIC_ID)
    writer
      .compactArrayLength(1)
      .int32(partition)
      .int16(fetched.errorCode ?? 0)
    writer.int64(highWatermark).int64(highWatermark).int64(0n).compactArrayLength(0).int32(-1)
    writer.unsignedVarint(records.length + 1).shared(records)
    if (divergesAt === undefined) writer.noTags()
    else
      writer
        .unsignedVarint(1)
        .unsignedVarint(0)
        .unsignedVarint(13)
        .int32(1)
        .int64(divergesAt)
        .noTags()
    writer.noTags().noTags()
  }
}

/** The same offset whatever is asked for. */
export function offsetsAnswer(offsets: { readonly start: bigint; readonly end: bigint }): Script {
  return (writer, request) => {
    request.bytes(5)
    const [timestamps = []] = request.array(() => {
      request.string()
      return request.array(() => {
        request.bytes(8)
        return request.int64()
      })
    })
    writer.int32(0).arrayLength(1).string(TOPIC).arrayLength(1)
    const offset = timestamps[0] === -2n ? offsets.start : offsets.end
    writer.int32(0).int16(0).int64(-1n).int64(offset).int32(4)
  }
}
