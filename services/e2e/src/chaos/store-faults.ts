/** Faults of the object store, through the fault proxy before it and to the server itself. */
import type { S3Fault, S3Rule } from '@tributary/common/testing/s3-fault-proxy'
import {
  S3_ACCESS_DENIED,
  S3_CONFLICT,
  S3_INTERNAL_ERROR,
  S3_SLOW_DOWN,
} from '@tributary/common/testing/s3-fault-proxy'

import type { Fault } from './fault.ts'
import { hold } from './fault.ts'

const COMMITS = /\/commits\//
const DATA = /\/(data|late)\//

export function storeFaults(): Fault[] {
  return [
    ruled('S1', 'refuses all', [{ fault: S3_SLOW_DOWN }]),
    ruled('S1', 'refuses a third, with 500 and 503', [
      { fault: S3_SLOW_DOWN, share: 0.2 },
      { fault: S3_INTERNAL_ERROR, share: 0.2 },
    ]),
    ruled('S2', 'loses answers to data', [lost(DATA, 0.5)]),
    ruled('S2', 'loses answers to commits', [lost(COMMITS, 0.7)]),
    ruled('S2', 'does puts later than their clients wait', [
      { fault: { kind: 'late', delayMs: 3000 }, operations: ['put'], share: 0.4 },
    ]),
    ruled('S2', 'does puts twice', [
      { fault: { kind: 'twice', delayMs: 1500, answer: 'first' }, operations: ['put'], share: 0.4 },
      { fault: { kind: 'twice', delayMs: 0, answer: 'second' }, operations: ['put'], share: 0.4 },
    ]),
    ruled('S3', 'cuts bodies and answers', [
      { fault: { kind: 'cut-body' }, operations: ['put'], share: 0.4 },
      { fault: { kind: 'cut-answer' }, operations: ['get'], share: 0.4 },
    ]),
    ruled('S3', 'damages bodies and answers', [
      { fault: { kind: 'flip-body' }, operations: ['put'], share: 0.4 },
      { fault: { kind: 'flip-answer' }, operations: ['get'], share: 0.4 },
    ]),
    ruled('S4', 'takes 1 KiB a second', [{ fault: { kind: 'slow', bytesPerSecond: 1024 } }]),
    ruled('S4', 'hangs', [{ fault: { kind: 'hang' }, share: 0.5 }]),
    ruled('S5', 'refuses the credentials', [{ fault: S3_ACCESS_DENIED }]),
    ruled('S6', 'lists and reads old news', [
      { fault: { kind: 'stale' }, operations: ['list', 'head'] },
      { fault: { kind: 'stale' }, operations: ['get'], share: 0.5 },
    ]),
    ruled('S7', 'answers commits with 409', [
      { fault: S3_CONFLICT, operations: ['put'], key: COMMITS, share: 0.8 },
    ]),
    {
      id: 'S1',
      name: 'store: killed, and started again',
      group: 'store',
      run: async (scene, random) => {
        await scene.cluster.parts.store.kill()
        return hold(scene, random, () => scene.cluster.parts.store.restart())
      },
    },
  ]
}

function lost(key: RegExp, share: number): S3Rule {
  const fault: S3Fault = { kind: 'lose-answer' }
  return { fault, operations: ['put'], key, share }
}

function ruled(id: string, what: string, rules: readonly S3Rule[]): Fault {
  return {
    id,
    name: `store: ${what}`,
    group: 'store',
    run: async (scene, random) => {
      const { storeFaults: proxy } = scene.cluster.parts
      for (const rule of rules) proxy.inject({ ...rule, times: Infinity })
      return hold(scene, random, () => proxy.heal())
    },
  }
}
