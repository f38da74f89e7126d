/**
 * `npm run chaos -- --seed 1 --minutes 10`: faults under load against a real cluster on this machine.
 * `--standalone` takes one process on an S3 server instead; `--only "redis,kill -9"` only some faults;
 * `--older-build DIR`, an earlier checkout with modules of its own, runs half of the processes from there.
 */
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { findPython } from '@tributary/common/testing/python'

import { chaosTable } from './chaos-report.ts'
import { runChaos } from './chaos-run.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '10' },
    rounds: { type: 'string' },
    routers: { type: 'string', default: '2' },
    ingesters: { type: 'string', default: '3' },
    partitions: { type: 'string', default: '6' },
    standalone: { type: 'boolean', default: false },
    only: { type: 'string' },
    'proof-every': { type: 'string', default: '8' },
    'hold-ms-max': { type: 'string', default: '4000' },
    'at-once-min': { type: 'string', default: '1' },
    'at-once-max': { type: 'string', default: '3' },
    clients: { type: 'string', default: '10' },
    rate: { type: 'string', default: '6' },
    items: { type: 'string', default: '60' },
    'older-build': { type: 'string' },
    json: { type: 'string' },
  },
})
// fails now and not at the first proof, minutes later
findPython()
const result = await runChaos({
  seed: Number(values.seed),
  minutes: Number(values.minutes),
  isStandalone: values.standalone,
  routers: Number(values.routers),
  ingesters: Number(values.ingesters),
  partitions: Number(values.partitions),
  proofEvery: Number(values['proof-every']),
  holdMsMax: Number(values['hold-ms-max']),
  atOnceMin: Number(values['at-once-min']),
  atOnceMax: Number(values['at-once-max']),
  clients: Number(values.clients),
  ratePerSecond: Number(values.rate),
  itemsMax: Number(values.items),
  ...(values['older-build'] === undefined ? {} : { olderBuild: resolve(values['older-build']) }),
  ...(values.rounds === undefined ? {} : { roundsMax: Number(values.rounds) }),
  ...(values.only === undefined ? {} : { only: values.only.split(',') }),
  report: (line) => process.stdout.write(`${line}\n`),
})
for (const line of chaosTable(result)) process.stdout.write(`${line}\n`)
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify(result, undefined, 2)}\n`)
// not by exitCode: Node's own cleanup waits for ever where a socket was reset in a bad moment
process.exit(result.problems.length === 0 ? 0 : 1)
