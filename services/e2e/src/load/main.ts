/**
 * `npm run load -- --grpc 127.0.0.1:4317 --signal logs --records 1000 --rate 100 --seconds 10`,
 * or `--http http://127.0.0.1:4318 --encoding json`. Without --rate, --in-flight requests are kept
 * under way; the answer is JSON.
 */
import { parseArgs } from 'node:util'
import type { SignalName } from '@tributary/common/signal'
import { runLoad } from './load-run.ts'
import { grpcTransport, httpTransport } from './load-transport.ts'
import { PayloadPool } from './payload-pool.ts'

const { values } = parseArgs({
  options: {
    grpc: { type: 'string' },
    http: { type: 'string' },
    signal: { type: 'string', default: 'logs' },
    records: { type: 'string', default: '1000' },
    resources: { type: 'string', default: '10' },
    requests: { type: 'string', default: '100' },
    rate: { type: 'string' },
    'in-flight': { type: 'string', default: '4' },
    connections: { type: 'string', default: '4' },
    seconds: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    encoding: { type: 'string', default: 'protobuf' },
  },
})
if ((values.grpc === undefined) === (values.http === undefined)) {
  process.stderr.write('give one of --grpc HOST:PORT and --http URL\n')
  process.exit(2)
}
const signal = values.signal as SignalName
const encoding = values.encoding === 'json' ? 'json' : 'protobuf'
const connections = Number(values.connections)
const transport =
  values.grpc === undefined
    ? httpTransport(values.http!, signal, connections, encoding)
    : grpcTransport(values.grpc, signal, connections)
const result = await runLoad({
  pool: new PayloadPool({
    signal,
    records: Number(values.records),
    resources: Math.min(Number(values.resources), Number(values.records)),
    requests: Number(values.requests),
    seed: Number(values.seed),
    encoding,
    startUnixNano: BigInt(Date.now()) * 1_000_000n,
  }),
  transport,
  seconds: Number(values.seconds),
  rate: values.rate === undefined ? undefined : Number(values.rate),
  inFlight: Number(values['in-flight']),
})
transport.close()
process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`)
