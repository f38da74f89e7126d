/** What a person at a terminal reads first: where to send, where it goes, how to query it. */

export interface WelcomeFacts {
  readonly host: string
  readonly ports: { readonly grpc: number; readonly http: number; readonly admin: number }
  readonly storeUrl: string
  /** Flags that the other commands need to find this process and its files; '' with the defaults. */
  readonly flushFlags: string
  readonly queryFlags: string
}

export function printWelcome(out: NodeJS.WritableStream, facts: WelcomeFacts): void {
  const { host, ports, storeUrl, flushFlags, queryFlags } = facts
  const name = host === '127.0.0.1' || host === '0.0.0.0' ? 'localhost' : host
  out.write(`Tributary takes OTLP:
  gRPC   ${name}:${String(ports.grpc)}
  HTTP   http://${name}:${String(ports.http)}/v1/logs, /v1/traces, /v1/metrics
  admin  http://${name}:${String(ports.admin)}/readyz, /metrics
Files go to ${storeUrl}
Query them with
  npx tributary flush${flushFlags}
  npx tributary query "select severity_text, count(*) from logs group by 1"${queryFlags}
Ctrl-C ends it; everything acknowledged is kept.
`)
}
