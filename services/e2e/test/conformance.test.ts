/** The whole status contract against the receivers, states that no client can cause included. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { conformanceCases, runConformance } from '@tributary/cli/conformance/run-conformance'
import type { StateHook } from '@tributary/cli/conformance/run-conformance'
import { SERVER_STATES } from '@tributary/cli/conformance/conformance-case'
import type { Endpoint, ServerState } from '@tributary/cli/conformance/conformance-case'
import { send } from '@tributary/cli/conformance/send'
import { protobufPayload } from '@tributary/cli/conformance/payload'
import { AppError } from '@tributary/common/errors'
import { generateApiKey } from '@tributary/common/tenants/api-key'
import type { ErrorCode } from '@tributary/common/errors'
import { startReceivers } from '@tributary/router/testing/receiver-harness'
import { testAccount } from '@tributary/router/testing/test-account'
import type { ReceiverHarness } from '@tributary/router/testing/receiver-harness'

import { openDoor } from '../src/clients/door.ts'
import { startGuardedReceivers, type GuardedReceivers } from '../src/guarded-receivers.ts'

/** The states that a handler reports. */
const HANDLER_CODES = {
  over_rate: 'over_rate',
  log_unavailable: 'log_unavailable',
} as const satisfies Partial<Record<ServerState, ErrorCode>>

let harness: ReceiverHarness
let impatient: ReceiverHarness
let guarded: GuardedReceivers

before(async () => {
  harness = await startReceivers()
  impatient = await startReceivers({ limits: { answerTimeoutMs: 50 } })
  guarded = await startGuardedReceivers()
})

after(async () => {
  await Promise.all([harness.close(), impatient.close(), guarded.close()])
})

describe('the receivers', () => {
  it('answer every case of the status contract as the specification says', async () => {
    const report = await runConformance({
      grpc: harness.grpcTarget,
      http: harness.httpUrl,
      states: { ...handlerStates(), ...credentialStates(), overloaded, draining, bug, slow },
    })
    const failures = report.results.filter(({ result }) => result !== 'pass')
    assert.deepEqual(failures, [])
    assert.equal(report.passed, conformanceCases().length)
    assert.equal(harness.admission.inFlightBytes, 0)
  })

  it('are asked about every state', () => {
    const asked = new Set(conformanceCases().map(({ state }) => state))
    for (const state of SERVER_STATES) assert.ok(asked.has(state), state)
  })
})

function endpointOf(target: ReceiverHarness): Endpoint {
  return { grpc: target.grpcTarget, http: target.httpUrl }
}

function handlerStates(): Partial<Record<ServerState, StateHook>> {
  return Object.fromEntries(
    Object.entries(HANDLER_CODES).map(([state, code]): [string, StateHook] => [
      state,
      (run) => withHandler(harness, () => Promise.reject(new AppError(code, `test: ${code}`)), run),
    ]),
  )
}

/** Keys in a real file, asked for by real receivers. */
function credentialStates(): Partial<Record<ServerState, StateHook>> {
  const endpoint = guarded.endpoint
  const presenting =
    (headers: Readonly<Record<string, string>>): StateHook =>
    (run) =>
      run({ ...endpoint, headers })
  return {
    unauthenticated: presenting({}),
    unknown_key: presenting({ 'x-api-key': generateApiKey().text }),
    permission_denied: presenting({
      authorization: `Bearer ${guarded.key}`,
      'x-tributary-tenant': 'other',
    }),
    credentials_unchecked: (run) =>
      guarded.withoutStore(() =>
        run({ ...endpoint, headers: { 'x-api-key': generateApiKey().text } }),
      ),
  }
}

async function withHandler<T>(
  target: ReceiverHarness,
  behaviour: () => Promise<void>,
  run: (endpoint: Endpoint) => Promise<T>,
): Promise<T> {
  target.probe.before = behaviour
  try {
    return await run(endpointOf(target))
  } finally {
    target.probe.before = () => undefined
  }
}

const bug: StateHook = (run) =>
  withHandler(harness, () => Promise.reject(new TypeError('a bug of ours')), run)

const slow: StateHook = async (run) => {
  const released = Promise.withResolvers<undefined>()
  try {
    return await withHandler(impatient, () => released.promise, run)
  } finally {
    released.resolve(undefined)
  }
}

const overloaded: StateHook = async (run) => {
  const reservation = harness.admission.reserve(
    harness.admission.inFlightBytesMax,
    testAccount('other'),
  )
  try {
    return await run(endpointOf(harness))
  } finally {
    reservation.release()
  }
}

/**
 * A server that drains listens no more: the connections that the probe will use are opened before,
 * and a call that is still in flight holds the drain open meanwhile.
 */
const draining: StateHook = async (run) => {
  const target = await startReceivers()
  const released = Promise.withResolvers<undefined>()
  target.probe.before = () => released.promise
  const grpcDoor = await openDoor(target.grpc.port)
  const httpDoor = await openDoor(target.http.port)
  const held = (['grpc', 'http'] as const).map((transport) =>
    send(
      endpointOf(target),
      { transport, encoding: 'protobuf', compression: 'identity' },
      'logs',
      protobufPayload('logs'),
    ),
  )
  while (target.probe.requests.length < 2) await new Promise(setImmediate)
  const drained = Promise.all([target.grpc.drain(10_000), target.http.drain(10_000)])
  try {
    return await run({ grpc: grpcDoor.target, http: `http://${httpDoor.target}` })
  } finally {
    released.resolve(undefined)
    for (const answer of await Promise.all(held)) {
      assert.ok(answer.status === 0 || answer.status === 200, 'the call in flight is finished')
    }
    grpcDoor.close()
    httpDoor.close()
    await Promise.all([target.grpc.close(), target.http.close(), drained])
  }
}
