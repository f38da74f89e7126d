/** The compose file says to commands what they understand, and names what is there. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { doctorCommand } from '@tributary/cli/commands/doctor'
import { ingesterCommand } from '@tributary/cli/commands/ingester'
import { partitionsCommand } from '@tributary/cli/commands/partitions'
import { queryCommand } from '@tributary/cli/commands/query'
import { routerCommand } from '@tributary/cli/commands/router'
import { topicCommand } from '@tributary/cli/commands/topic'
import type { Command } from '@tributary/cli/command'
import { parseSettings, variableName } from '@tributary/common/config/setting-table'
import type { SettingTable } from '@tributary/common/config/setting-table'
import { standaloneSettings } from '@tributary/common/config/settings'

import { readCompose, readYaml } from '../src/compose-file.ts'
import type { ComposeService } from '../src/compose-file.ts'

const IMAGE = 'tributary:0.1.0'

const compose = readCompose()
const services = Object.entries(compose.services)
const own = services.filter(([, { image }]) => image === IMAGE)

/** The commands that a service runs, or is there for. */
const COMMANDS: Readonly<Record<string, readonly Command[]>> = {
  topic: [topicCommand],
  'router-1': [routerCommand],
  'router-2': [routerCommand],
  ingester: [ingesterCommand],
  tributary: [queryCommand, partitionsCommand, doctorCommand],
}

function tableOf({ sections }: Command): SettingTable {
  return Object.assign({}, ...sections.map(({ table }) => table)) as SettingTable
}

/** Variables of a service that its commands read. */
function ownVariables({ environment = {} }: ComposeService): [string, string][] {
  return Object.entries(environment).filter(([name]) => name.startsWith('TRIBUTARY_'))
}

describe('deploy/compose/compose.yaml', () => {
  it('names variables that the commands have, with values that they take', () => {
    assert.deepEqual(own.map(([name]) => name).sort(), Object.keys(COMMANDS).sort())
    for (const [name, service] of own) {
      const tables = COMMANDS[name]!.map(tableOf)
      const variables = ownVariables(service)
      assert.ok(variables.length >= 3)
      const known = new Set(
        tables.flatMap((table) => Object.entries(table).map((entry) => variableName(...entry))),
      )
      for (const [variable] of variables) assert.ok(known.has(variable), `${name}: ${variable}`)
      const environment = Object.fromEntries(variables)
      for (const table of tables) assert.doesNotThrow(() => parseSettings(table, { environment }))
    }
  })

  it('gives words that the commands understand', () => {
    const { command = [] } = compose.services['topic']!
    const [name, ...args] = command
    assert.equal(name, 'topic')
    const parsed = parseSettings(tableOf(topicCommand), { args, positionals: ['ACTION'] })
    assert.deepEqual(parsed.positionals, ['create'])
    for (const [service, role] of [
      ['router-1', 'router'],
      ['router-2', 'router'],
      ['ingester', 'ingester'],
    ] as const) {
      assert.deepEqual(compose.services[service]!.command, [role])
    }
  })

  it('publishes the ports that roles listen on, on the loopback alone, each once', () => {
    const published = services.flatMap(([, { ports = [] }]) => ports.map((port) => port.split(':')))
    for (const [host] of published) assert.equal(host, '127.0.0.1')
    const outside = published.map(([, port]) => port)
    assert.equal(new Set(outside).size, outside.length)
    const { otlpGrpcPort, otlpHttpPort, adminPort } = standaloneSettings
    for (const name of ['router-1', 'router-2']) {
      const inside = compose.services[name]!.ports!.map((port) => Number(port.split(':')[2]))
      assert.deepEqual(inside, [otlpGrpcPort.default, otlpHttpPort.default])
    }
    assert.match(
      JSON.stringify(compose.services['ingester']),
      new RegExp(`:${adminPort.default}/readyz`),
    )
  })

  it('speaks of services, volumes and images that are there', () => {
    for (const [name, { environment = {}, depends_on: needed = [], volumes = [] }] of services) {
      for (const other of needed) assert.ok(compose.services[other], `${name} needs ${other}`)
      for (const volume of volumes) {
        const [source = ''] = volume.split(':')
        assert.ok(source.startsWith('/') || source in compose.volumes, `${name}: ${volume}`)
      }
      for (const value of Object.values(environment)) {
        const [, host] = /^(?:\w+:\/\/)?(kafka|redis|s3)\w*:\d+$/.exec(value) ?? []
        if (host !== undefined) assert.ok(compose.services[host], `${name}: ${value}`)
      }
    }
    const values = readYaml('charts/tributary/values.yaml') as {
      dev: Record<'kafka' | 'redis' | 'objectStore', { image: string }>
    }
    assert.equal(compose.services['kafka']!.image, values.dev.kafka.image)
    assert.equal(compose.services['redis']!.image, values.dev.redis.image)
    assert.equal(compose.services['s3']!.image, values.dev.objectStore.image)
  })
})
