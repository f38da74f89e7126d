/**
 * The door to the environment: files named config.ts are the only ones that may read it (a policy
 * test), so that every variable the product listens to can be found, listed and bounded.
 */
import { homedir } from 'node:os'
import { join } from 'node:path'

export type Environment = Readonly<Record<string, string | undefined>>

/** The process environment, for a setting table to parse. */
export function processEnvironment(): Environment {
  return process.env
}

/** Command-line words after the script. */
export function processArguments(): readonly string[] {
  return process.argv.slice(2)
}

/** TRIBUTARY_FAILPOINTS: faults to inject, see failpoint.ts. */
export function failpointSpecification(): string | undefined {
  return process.env['TRIBUTARY_FAILPOINTS']
}

/** TRIBUTARY_LOG_LEVEL before any table is parsed: the loggers of workers and tools. */
export function logLevel(): string {
  return process.env['TRIBUTARY_LOG_LEVEL'] ?? 'info'
}

/** TRIBUTARY_PYTHON: the interpreter that tests use as the foreign reader. */
export function pythonPath(): string | undefined {
  return process.env['TRIBUTARY_PYTHON']
}

/** TRIBUTARY_S3_ENDPOINT, with the usual AWS_... variables: the S3 server that tests use. */
export function testS3(): {
  endpoint: string | undefined
  accessKeyId: string | undefined
  secretAccessKey: string | undefined
} {
  return {
    endpoint: process.env['TRIBUTARY_S3_ENDPOINT'],
    accessKeyId: process.env['AWS_ACCESS_KEY_ID'],
    secretAccessKey: process.env['AWS_SECRET_ACCESS_KEY'],
  }
}

/** TRIBUTARY_KAFKA_BROKERS, `host:port,...`: the Kafka that tests use. */
export function testKafkaBrokers(): string | undefined {
  const brokers = process.env['TRIBUTARY_KAFKA_BROKERS']
  return brokers === '' ? undefined : brokers
}

/** TRIBUTARY_REDIS_URL: the Redis that tests use where they need none of their own. */
export function testRedisUrl(): string | undefined {
  return process.env['TRIBUTARY_REDIS_URL']
}

/** TRIBUTARY_OTELCOL and TRIBUTARY_TELEMETRYGEN: programs that tests use as clients, instead of built ones. */
export function testPrograms(): {
  collector: string | undefined
  telemetrygen: string | undefined
} {
  return {
    collector: process.env['TRIBUTARY_OTELCOL'],
    telemetrygen: process.env['TRIBUTARY_TELEMETRYGEN'],
  }
}

/**
 * KUBECONFIG: the cluster that tests use. Without one TRIBUTARY_KUBERNETES_TOOLS names a folder with
 * `unpack`, `cluster-up`, `cluster-node` and `cluster-down`. TRIBUTARY_TEST_IMAGE is an image that the
 * cluster of KUBECONFIG can pull.
 */
export function testKubernetes(): {
  kubeconfig: string | undefined
  tools: string | undefined
  image: string | undefined
} {
  return {
    kubeconfig: process.env['KUBECONFIG'],
    tools: process.env['TRIBUTARY_KUBERNETES_TOOLS'],
    image: process.env['TRIBUTARY_TEST_IMAGE'],
  }
}

/** XDG_CACHE_HOME, else ~/.cache: where tests keep the programs that they built. */
export function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tributary')
}
