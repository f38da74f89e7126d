/**
 * Generates export requests of all three signals from a seed: every field of OTLP and odd values in
 * all of them, as models (otlp-model.ts). The same signal, seed and options give the same request.
 */
import type { SignalName } from '../signal.ts'
import { OddValues } from './odd-values.ts'
import type { Model, ModelValue } from './otlp-model.ts'
import { encodeModelJson } from './otlp-json-emitter.ts'
import { exportRequest } from './otlp-messages.ts'
import { encodeModel } from './otlp-model.ts'
import { SeededRandom } from './seeded-random.ts'

export interface GeneratorOptions {
  /** Nesting of arrays and maps; the default stays well inside the product's limit. */
  readonly depthMax?: number
  /** Whether spans may have bad ids, which a server rejects. Default true. */
  readonly hasBadIds?: boolean
  /** Whether strings may hold bytes that are not UTF-8. Default true. */
  readonly hasInvalidUtf8?: boolean
  /** Times stay at most here, in Unix nanoseconds. Default: the end of 64 bits. */
  readonly timeMaxUnixNano?: bigint
}

/** A request as a model; the encodings are made from it. */
export function generateRequest(
  signal: SignalName,
  seed: number,
  options: GeneratorOptions = {},
): Model {
  const generator = new RequestGenerator(new SeededRandom(seed), options)
  return generator.request(signal)
}

/** The request of a seed as protobuf bytes in an odd but legal form, chosen by the seed too. */
export function generateProtobuf(
  signal: SignalName,
  seed: number,
  options: GeneratorOptions & { readonly splitsMessages?: boolean } = {},
): Uint8Array {
  const model = generateRequest(signal, seed, options)
  const random = new SeededRandom(seed ^ 0x5bd1_e995)
  const { splitsMessages = false } = options
  return encodeModel(exportRequest(signal).type, model, { random, splitsMessages })
}

/** The request of a seed as OTLP/JSON text in an odd but legal form, chosen by the seed too. */
export function generateJson(
  signal: SignalName,
  seed: number,
  options: GeneratorOptions = {},
): Uint8Array {
  const model = generateRequest(signal, seed, options)
  return encodeModelJson(exportRequest(signal).type, model, new SeededRandom(seed ^ 0x1b87_3593))
}

type Maker = () => ModelValue | undefined

class RequestGenerator {
  readonly #random: SeededRandom
  readonly #values: OddValues
  readonly #hasBadIds: boolean

  constructor(random: SeededRandom, options: GeneratorOptions) {
    this.#random = random
    this.#values = new OddValues(random, {
      depthMax: options.depthMax ?? 5,
      hasInvalidUtf8: options.hasInvalidUtf8 ?? true,
      timeMaxUnixNano: options.timeMaxUnixNano ?? 2n ** 64n - 1n,
    })
    this.#hasBadIds = options.hasBadIds ?? true
  }

  request(signal: SignalName): Model {
    if (this.#random.chance(0.01)) return {}
    switch (signal) {
      case 'logs':
        return { resourceLogs: this.#groups('scopeLogs', 'logRecords', () => this.#logRecord()) }
      case 'spans':
        return { resourceSpans: this.#groups('scopeSpans', 'spans', () => this.#span()) }
      case 'metrics':
        return { resourceMetrics: this.#groups('scopeMetrics', 'metrics', () => this.#metric()) }
    }
  }

  /** Some resources recur, so that groups merge and dictionaries repeat. */
  #groups(scopesMember: string, itemsMember: string, item: () => Model): Model[] {
    const resources = this.#list(3, () => this.#maybeResource())
    const scopes = this.#list(3, () => this.#maybeScope())
    return this.#list(4, () => ({
      ...this.#random.pick([...resources, {}]),
      [scopesMember]: this.#list(3, () => ({
        ...this.#random.pick([...scopes, {}]),
        [itemsMember]: this.#list(5, item),
      })),
    }))
  }

  #list<T>(countMax: number, make: () => T): T[] {
    return Array.from({ length: this.#random.below(countMax + 1) }, make)
  }

  /** Leaves each member out half of the time, and also where its maker has no value. */
  #some(makers: Readonly<Record<string, Maker>>, probability = 0.5): Model {
    const model: Model = {}
    for (const [member, make] of Object.entries(makers)) {
      if (!this.#random.chance(probability)) continue
      const value = make()
      if (value !== undefined) model[member] = value
    }
    return model
  }

  #maybeResource(): Model {
    const values = this.#values
    return this.#some({
      schemaUrl: () => values.text(),
      resource: () =>
        this.#some({
          attributes: () => values.attributes(),
          droppedAttributesCount: () => values.uint32(),
          entityRefs: () => this.#list(2, () => this.#entityRef()),
        }),
    })
  }

  #entityRef(): Model {
    const values = this.#values
    return this.#some({
      schemaUrl: () => values.text(),
      type: () => values.text(),
      idKeys: () => this.#list(3, () => values.key()),
      descriptionKeys: () => this.#list(2, () => values.key()),
    })
  }

  #maybeScope(): Model {
    const values = this.#values
    return this.#some({
      schemaUrl: () => values.text(),
      scope: () =>
        this.#some({
          name: () => values.text(),
          version: () => values.text(),
          attributes: () => values.attributes(),
          droppedAttributesCount: () => values.uint32(),
        }),
    })
  }

  #logRecord(): Model {
    const values = this.#values
    return this.#some({
      timeUnixNano: () => values.time(),
      observedTimeUnixNano: () => values.time(),
      severityNumber: () => values.enumNumber(24),
      severityText: () => values.text(),
      body: () => values.anyValue(0),
      attributes: () => values.attributes(),
      droppedAttributesCount: () => values.uint32(),
      flags: () => values.uint32(),
      traceId: () => this.#looseId(16),
      spanId: () => this.#looseId(8),
      eventName: () => values.text(),
    })
  }

  /** An id where a bad one does no harm. */
  #looseId(byteCount: number): Uint8Array {
    const { bytes } = this.#random.chance(0.8) ? this.#goodId(byteCount) : this.#badId(byteCount)
    return bytes
  }

  #goodId(byteCount: number): { bytes: Uint8Array } {
    const bytes = this.#random.bytes(byteCount)
    bytes[this.#random.below(byteCount)] = 1
    return { bytes }
  }

  #badId(byteCount: number): { bytes: Uint8Array } {
    const length = this.#random.pick([0, 1, byteCount - 1, byteCount + 1, byteCount])
    return { bytes: new Uint8Array(length) }
  }

  #span(): Model {
    const values = this.#values
    const isBad = this.#hasBadIds && this.#random.chance(0.03)
    const ids = {
      traceId: (isBad ? this.#badId(16) : this.#goodId(16)).bytes,
      spanId: this.#goodId(8).bytes,
    }
    return {
      ...ids,
      ...this.#some({
        traceState: () => values.text(),
        // a parent of zeros is the same as none
        parentSpanId: () =>
          this.#random.chance(0.8)
            ? this.#goodId(8).bytes
            : new Uint8Array(this.#random.pick([0, 8])),
        flags: () => values.uint32(),
        name: () => values.text(),
        kind: () => values.enumNumber(5),
        startTimeUnixNano: () => values.time(),
        endTimeUnixNano: () => values.time(),
        attributes: () => values.attributes(),
        droppedAttributesCount: () => values.uint32(),
        events: () => this.#list(3, () => this.#event()),
        droppedEventsCount: () => values.uint32(),
        links: () => this.#list(3, () => this.#link()),
        droppedLinksCount: () => values.uint32(),
        status: () =>
          this.#some({ message: () => values.text(), code: () => values.enumNumber(2) }),
      }),
    }
  }

  #event(): Model {
    const values = this.#values
    return this.#some({
      timeUnixNano: () => values.time(),
      name: () => values.text(),
      attributes: () => values.attributes(),
      droppedAttributesCount: () => values.uint32(),
    })
  }

  #link(): Model {
    const values = this.#values
    return this.#some({
      traceId: () => this.#goodId(16).bytes,
      spanId: () => this.#goodId(8).bytes,
      traceState: () => values.text(),
      attributes: () => values.attributes(),
      droppedAttributesCount: () => values.uint32(),
      flags: () => values.uint32(),
    })
  }

  #metric(): Model {
    const values = this.#values
    const model = this.#some({
      name: () => values.text(),
      description: () => values.text(),
      unit: () => values.text(),
      metadata: () => values.attributes(),
    })
    const temporality = (): ModelValue => values.enumNumber(2)
    switch (this.#random.below(6)) {
      case 0:
        return { ...model, gauge: this.#some({ dataPoints: () => this.#numberPoints() }, 0.9) }
      case 1: {
        const sum = this.#some({
          aggregationTemporality: temporality,
          isMonotonic: () => this.#random.chance(0.7),
        })
        return { ...model, sum: { ...sum, dataPoints: this.#numberPoints() } }
      }
      case 2: {
        const dataPoints = this.#list(4, () => this.#histogramPoint())
        return {
          ...model,
          histogram: { ...this.#some({ aggregationTemporality: temporality }), dataPoints },
        }
      }
      case 3: {
        const dataPoints = this.#list(4, () => this.#exponentialPoint())
        const histogram = { ...this.#some({ aggregationTemporality: temporality }), dataPoints }
        return { ...model, exponentialHistogram: histogram }
      }
      case 4:
        return { ...model, summary: { dataPoints: this.#list(4, () => this.#summaryPoint()) } }
      default:
        return model
    }
  }

  #numberPoints(): Model[] {
    return this.#list(5, () => ({
      ...this.#pointFields(),
      ...this.#numberValue(),
      ...this.#some({ exemplars: () => this.#exemplars() }, 0.2),
    }))
  }

  /** Members that points of all types share. */
  #pointFields(): Model {
    const values = this.#values
    return this.#some({
      attributes: () => values.attributes(),
      startTimeUnixNano: () => values.time(),
      timeUnixNano: () => values.time(),
      flags: () => (this.#random.chance(0.7) ? this.#random.below(2) : values.uint32()),
    })
  }

  #numberValue(): Model {
    const choice = this.#random.below(5)
    if (choice === 0) return {}
    return choice < 3 ? { asInt: this.#values.int64() } : { asDouble: this.#values.double() }
  }

  #exemplars(): Model[] {
    const values = this.#values
    return this.#list(3, () => ({
      ...this.#numberValue(),
      ...this.#some({
        filteredAttributes: () => values.attributes(),
        timeUnixNano: () => values.time(),
        traceId: () => this.#goodId(16).bytes,
        spanId: () => this.#goodId(8).bytes,
      }),
    }))
  }

  /** Count, sum, min and max; the last three differ between 0 and absent in both histograms. */
  #totals(): Model {
    const values = this.#values
    return this.#some({
      count: () => values.uint64(),
      sum: () => values.double(),
      min: () => values.double(),
      max: () => values.double(),
    })
  }

  #histogramPoint(): Model {
    const values = this.#values
    const bounds = this.#list(4, () => values.double())
    const counts = Array.from({ length: bounds.length + 1 }, () => values.uint64())
    return {
      ...this.#pointFields(),
      ...this.#totals(),
      ...(this.#random.chance(0.7) ? { explicitBounds: bounds, bucketCounts: counts } : {}),
      ...this.#some({ exemplars: () => this.#exemplars() }, 0.2),
    }
  }

  #exponentialPoint(): Model {
    const values = this.#values
    const buckets = (): Model =>
      this.#some({
        offset: () => values.int32(),
        bucketCounts: () => this.#list(5, () => values.uint64()),
      })
    return {
      ...this.#pointFields(),
      ...this.#totals(),
      ...this.#some({
        scale: () => values.int32(),
        zeroCount: () => values.uint64(),
        zeroThreshold: () => values.double(),
        positive: buckets,
        negative: buckets,
      }),
      ...this.#some({ exemplars: () => this.#exemplars() }, 0.2),
    }
  }

  #summaryPoint(): Model {
    const values = this.#values
    return {
      ...this.#pointFields(),
      ...this.#some({
        count: () => values.uint64(),
        sum: () => values.double(),
        quantileValues: () =>
          this.#list(4, () =>
            this.#some({ quantile: () => values.double(), value: () => values.double() }, 0.9),
          ),
      }),
    }
  }
}
