/**
 * What the network policies allow is what the pods open and call, port by port: both lists are taken from
 * the rendered manifests.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

import { parseAllDocuments } from 'yaml'

const FIXTURES = fileURLToPath(new URL('../../fixtures/chart', import.meta.url))
const DNS_PORT = 53

interface Port {
  readonly port: number | string
}
interface Container {
  readonly name: string
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly envFrom?: readonly { readonly configMapRef?: { readonly name: string } }[]
}
interface Manifest {
  readonly kind: string
  readonly metadata: { readonly name: string }
  readonly data?: Readonly<Record<string, string>>
  readonly spec?: {
    readonly podSelector?: { readonly matchLabels: Readonly<Record<string, string>> }
    readonly ingress?: readonly { readonly ports: readonly Port[] }[]
    readonly egress?: readonly { readonly ports?: readonly Port[] }[]
    readonly template?: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> }
      readonly spec: { readonly containers: readonly Container[] }
    }
  }
}

const COMPONENT = 'app.kubernetes.io/component'

for (const file of readdirSync(FIXTURES)) {
  const manifests = parseAllDocuments(readFileSync(`${FIXTURES}/${file}`, 'utf8'))
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null)
  const policies = manifests.filter(({ kind }) => kind === 'NetworkPolicy')

  void describe(`network policies of ${file}`, () => {
    for (const policy of policies) {
      const role = policy.spec!.podSelector!.matchLabels[COMPONENT]!
      const pods = manifests.filter(
        ({ kind, spec }) =>
          /^(Deployment|StatefulSet)$/.test(kind) &&
          spec?.template?.metadata.labels[COMPONENT] === role,
      )

      void it(`let in what ${role} opens, and nothing else`, () => {
        assert.equal(pods.length, 1, `${role} is one workload`)
        const [container] = pods[0]!.spec!.template!.spec.containers
        const opened = (container?.ports ?? []).map(({ name }) => name)
        const allowed = policy.spec!.ingress!.flatMap(({ ports }) =>
          ports.map(({ port }) => String(port)),
        )
        // ingesters alone are asked over gRPC by others of the cluster
        const closed = role === 'ingester' ? [] : ['admin-grpc']
        assert.deepEqual(
          allowed.toSorted(),
          opened.filter((name) => !closed.includes(name)).toSorted(),
        )
      })

      void it(`let ${role} call its brokers, Redis, the bucket and names`, () => {
        const [container] = pods[0]!.spec!.template!.spec.containers
        const maps = (container?.envFrom ?? []).map(({ configMapRef }) => configMapRef?.name)
        const settings = manifests
          .filter(({ kind, metadata }) => kind === 'ConfigMap' && maps.includes(metadata.name))
          .map(({ data }) => data ?? {})
        const called = calledPorts(Object.assign({}, ...settings) as Record<string, string>)
        const allowed = policy.spec!.egress!.flatMap(({ ports }) =>
          (ports ?? []).map(({ port }) => Number(port)),
        )
        const missing = [...called, DNS_PORT].filter((port) => !allowed.includes(port))
        assert.deepEqual(missing, [])
        if (role === 'controller') return
        const extra = allowed.filter((port) => port !== DNS_PORT && !called.has(port))
        assert.deepEqual(extra, [])
      })
    }
  })
}

function calledPorts(settings: Readonly<Record<string, string | undefined>>): ReadonlySet<number> {
  const of = (name: string): string => settings[`TRIBUTARY_${name}`] ?? ''
  const addresses = [of('KAFKA_BROKERS'), of('REDIS_SENTINELS')].flatMap((list) => list.split(','))
  const ports = addresses
    .filter((address) => address !== '')
    .map((address) => Number(address.split(':')[1]))
  if (of('REDIS_URL') !== '') ports.push(Number(new URL(of('REDIS_URL')).port || 6379))
  const endpoint = of('OBJECT_STORE_ENDPOINT')
  if (endpoint === '') ports.push(443)
  else ports.push(Number(new URL(endpoint).port || (endpoint.startsWith('http:') ? 80 : 443)))
  return new Set(ports)
}
