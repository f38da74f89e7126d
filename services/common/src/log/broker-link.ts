/**
 * A connection to one broker that is opened when it is needed and again after it ended. Whoever asks
 * decides when to ask again; nothing is sent twice here.
 */
import type { Clock } from '../clock.ts'
import { BrokerConnection } from './broker-connection.ts'
import type { WireAnswer, WireRequest } from './broker-connection.ts'
import type { BrokerAddress, KafkaAccess } from './broker-socket.ts'
import { KafkaError } from './kafka-error.ts'

export class BrokerLink {
  readonly address: BrokerAddress
  readonly #access: KafkaAccess
  readonly #clock: Clock
  #opening: Promise<BrokerConnection> | undefined
  #connection: BrokerConnection | undefined
  #isClosed = false

  constructor(address: BrokerAddress, access: KafkaAccess, clock: Clock) {
    this.address = address
    this.#access = access
    this.#clock = clock
  }

  get isOpen(): boolean {
    return this.#connection?.isOpen === true
  }

  /** @throws KafkaError moved: not reached, nothing was sent; unknown; unfit */
  async exchange<Answer extends WireAnswer>(
    request: WireRequest<Answer>,
    timeoutMs: number,
  ): Promise<Answer> {
    const connection = await this.#open()
    return connection.exchange(request, timeoutMs)
  }

  /** Ends the connection; the next exchange opens another one. */
  reset(reason: string): void {
    this.#connection?.end(new KafkaError(reason, 'unknown'))
  }

  /** Ends the connection for good. */
  close(): void {
    this.#isClosed = true
    this.reset('closed')
  }

  async #open(): Promise<BrokerConnection> {
    if (this.#isClosed) throw new KafkaError('closed', 'moved')
    if (this.#connection?.isOpen === true) return this.#connection
    this.#opening ??= BrokerConnection.open(this.address, this.#access, this.#clock)
    const opening = this.#opening
    try {
      const connection = await opening
      this.#connection = connection
      if (!this.#isClosed) return connection
      connection.end(new KafkaError('closed', 'moved'))
      throw new KafkaError('closed', 'moved')
    } finally {
      if (this.#opening === opening) this.#opening = undefined
    }
  }
}

/** Links by address. */
export class BrokerLinks {
  readonly #access: KafkaAccess
  readonly #clock: Clock
  readonly #links = new Map<string, BrokerLink>()

  constructor(access: KafkaAccess, clock: Clock) {
    this.#access = access
    this.#clock = clock
  }

  to(address: BrokerAddress): BrokerLink {
    const key = addressText(address)
    const known = this.#links.get(key)
    if (known !== undefined) return known
    const link = new BrokerLink(address, this.#access, this.#clock)
    this.#links.set(key, link)
    return link
  }

  /** Closes the links to all other addresses: brokers move, and their number stays small. */
  retain(addresses: Iterable<BrokerAddress>): void {
    const kept = new Set([...addresses].map(addressText))
    for (const [key, link] of this.#links) {
      if (kept.has(key)) continue
      link.close()
      this.#links.delete(key)
    }
  }

  close(): void {
    this.retain([])
  }
}

export function addressText({ host, port }: BrokerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
