/** The Lease object of coordination.k8s.io behind the port. */
import { CoordinationV1Api, V1MicroTime, type V1Lease } from '@kubernetes/client-node'
import { callKubernetes, statusOf, type KubernetesConnection } from './kubernetes-connection.ts'
import type { LeaseRecord, LeaseStore, StoredLease } from './lease-store.ts'

export class ApiLeaseStore implements LeaseStore {
  readonly #api: CoordinationV1Api
  readonly #name: string
  readonly #namespace: string

  constructor(connection: KubernetesConnection, name: string) {
    this.#api = connection.client(CoordinationV1Api)
    this.#name = name
    this.#namespace = connection.namespace
  }

  async read(): Promise<StoredLease | undefined> {
    const [name, namespace] = [this.#name, this.#namespace]
    try {
      return storedOf(
        await callKubernetes('read the lease', () => {
          return this.#api.readNamespacedLease({ name, namespace })
        }),
      )
    } catch (error) {
      if (statusOf(error) === 404) return undefined
      throw error
    }
  }

  async write(record: LeaseRecord, over: string | undefined): Promise<string | undefined> {
    const [name, namespace] = [this.#name, this.#namespace]
    const body = bodyOf(record, name, over)
    try {
      const written = await callKubernetes('write the lease', () => {
        return over === undefined
          ? this.#api.createNamespacedLease({ namespace, body })
          : this.#api.replaceNamespacedLease({ name, namespace, body })
      })
      return written.metadata?.resourceVersion
    } catch (error) {
      // somebody else wrote, created or deleted it meanwhile
      if (statusOf(error) === 409 || statusOf(error) === 404) return undefined
      throw error
    }
  }
}

function storedOf({ metadata, spec }: V1Lease): StoredLease {
  return {
    resourceVersion: metadata?.resourceVersion ?? '',
    holder: spec?.holderIdentity ?? '',
    durationSeconds: spec?.leaseDurationSeconds ?? 0,
    transitions: spec?.leaseTransitions ?? 0,
    acquiredUnixMs: unixMsOf(spec?.acquireTime),
    renewedUnixMs: unixMsOf(spec?.renewTime),
  }
}

function bodyOf(record: LeaseRecord, name: string, over: string | undefined): V1Lease {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name, ...(over === undefined ? {} : { resourceVersion: over }) },
    spec: {
      holderIdentity: record.holder,
      leaseDurationSeconds: record.durationSeconds,
      leaseTransitions: record.transitions,
      acquireTime: new V1MicroTime(record.acquiredUnixMs),
      renewTime: new V1MicroTime(record.renewedUnixMs),
    },
  }
}

function unixMsOf(time: Date | undefined): number {
  const unixMs = time === undefined ? 0 : new Date(time).getTime()
  return Number.isNaN(unixMs) ? 0 : unixMs
}
