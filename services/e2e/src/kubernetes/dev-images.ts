/**
 * Images of the chart's dev servers from what the tests have on this machine, under the names that the
 * chart's values use: for a cluster that can pull none.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { findKafka } from '@tributary/common/local-servers/kafka-install'
import { findVersitygw } from '@tributary/common/local-servers/versitygw'

import { makeRoot, nativeFiles, writeImage } from './image-archive.ts'

/** A shell, and what the scripts of the chart call. */
const SHELL_PROGRAMS = { 'bin/sh': '/bin/sh', 'bin/cat': '/bin/cat', 'bin/mkdir': '/bin/mkdir' }
const PATH = 'PATH=/usr/local/bin:/usr/bin:/bin:/opt/java/bin'
/** What Kafka loads of Java. */
const JAVA_MODULES = 'java.se,jdk.unsupported,jdk.security.auth,jdk.crypto.ec,jdk.management'

export interface DevImageNames {
  readonly kafka: string
  readonly redis: string
  readonly objectStore: string
}

/** Writes the archives into a folder, unless they are there; gives their paths. */
export async function makeDevImages(folder: string, names: DevImageNames): Promise<string[]> {
  return [
    await once(join(folder, 'dev-kafka.tar'), names.kafka, makeKafka),
    await once(join(folder, 'dev-redis.tar'), names.redis, (root) => {
      makeRoot(root, { ...SHELL_PROGRAMS, 'usr/bin/redis-server': programOnPath('redis-server') })
    }),
    await once(join(folder, 'dev-s3.tar'), names.objectStore, (root) => {
      makeRoot(root, { ...SHELL_PROGRAMS, 'usr/local/bin/versitygw': findVersitygw() })
    }),
  ]
}

async function once(out: string, name: string, make: (root: string) => void): Promise<string> {
  if (existsSync(out)) return out
  const root = mkdtempSync(join(tmpdir(), 'tributary-dev-image-'))
  try {
    make(root)
    await writeImage({
      out,
      name,
      layers: [root],
      entrypoint: [],
      environment: [PATH],
      workingFolder: '/data',
    })
    return out
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

function makeKafka(root: string): void {
  const java = join(root, 'opt/java')
  const jlink = join(dirname(realpathSync(programOnPath('java'))), 'jlink')
  makeRoot(root, SHELL_PROGRAMS)
  const small = ['--strip-debug', '--no-header-files', '--no-man-pages']
  execFileSync(jlink, ['--add-modules', JAVA_MODULES, '--output', java, ...small])
  makeRoot(root, {}, [join(java, 'bin/java'), ...nativeFiles(java)])
  cpSync(dirname(findKafka().classPath), join(root, 'opt/kafka/libs'), { recursive: true })
}

function programOnPath(name: string): string {
  return execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim()
}
