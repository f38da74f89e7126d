/**
 * Apache Kafka on this machine, for development and tests: Java from the system, the jars by Maven into
 * the cache folder, once per machine.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { cacheFolder, processEnvironment } from '../config/config.ts'

const VERSION = '4.3.1'
const PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies'
const INSTALL_TIMEOUT_MS = 300_000
const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tributary</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
`

export interface KafkaInstall {
  /** Words of a command line before the options of Java. */
  readonly java: readonly [string, ...string[]]
  readonly classPath: string
  /** Loaded classes, ready to map, where they are there; see testing/kafka-server.ts. */
  readonly classArchive: string
}

/** The installed Kafka; fetches the jars where they are missing. @throws Error with the line that installs */
export function findKafka(): KafkaInstall {
  const folder = join(cacheFolder(), `kafka-${VERSION}`)
  if (spawnSync('java', ['-version']).status !== 0) throw new Error(advice('Java is missing'))
  if (!existsSync(join(folder, 'libs'))) fetchJars(folder)
  return {
    java: javaCommand(),
    classPath: join(folder, 'libs', '*'),
    classArchive: join(folder, 'classes.jsa'),
  }
}

function advice(problem: string): string {
  return (
    `no Kafka here (${problem}): set TRIBUTARY_KAFKA_BROKERS=host:port,..., ` +
    `or install Java 17 and Maven: apt-get install openjdk-17-jre-headless maven`
  )
}

/** With a guard by which a child dies with us, however we die; systems without util-linux do without. */
function javaCommand(): [string, ...string[]] {
  const [program, ...words] = ['setpriv', '--pdeathsig', 'KILL'] as const
  const isThere = spawnSync(program, [...words, 'true']).status === 0
  return isThere ? [program, ...words, 'java'] : ['java']
}

/** Into a folder of its own, renamed when complete: several may install at once, any may be killed. */
function fetchJars(folder: string): void {
  mkdirSync(cacheFolder(), { recursive: true })
  const draft = mkdtempSync(join(cacheFolder(), 'kafka-install-'))
  try {
    const pom = join(draft, 'pom.xml')
    writeFileSync(pom, POM)
    const target = `-DoutputDirectory=${join(draft, 'libs')}`
    const maven = spawnSync(
      'mvn',
      ['-q', '-B', '-f', pom, PLUGIN, '-DincludeScope=runtime', target],
      {
        env: processEnvironment(),
        encoding: 'utf8',
        timeout: INSTALL_TIMEOUT_MS,
      },
    )
    if (maven.status !== 0) throw new Error(advice(maven.error?.message ?? maven.stdout))
    renameSync(draft, folder)
  } catch (error) {
    if (!existsSync(join(folder, 'libs'))) throw error
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}
