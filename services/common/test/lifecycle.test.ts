import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { AppError } from '../src/errors.ts'
import { Lifecycle } from '../src/lifecycle.ts'
import type { Component } from '../src/lifecycle.ts'
import { createLogger } from '../src/logger.ts'

const logger = createLogger({ name: 'test', level: 'silent' })

function recorder(events: string[], name: string, fails?: 'start' | 'stop'): Component {
  return {
    name,
    start: () => {
      events.push(`start ${name}`)
      if (fails === 'start') throw new AppError('invalid_config', 'cannot start')
    },
    stop: () => {
      events.push(`stop ${name}`)
      if (fails === 'stop') throw new Error('cannot stop')
    },
  }
}

describe('Lifecycle', () => {
  it('starts in order and stops in reverse, once', async () => {
    const events: string[] = []
    const lifecycle = new Lifecycle({ logger, stopTimeoutMs: 1000 })
    for (const name of ['a', 'b', 'c']) lifecycle.add(recorder(events, name))
    await lifecycle.start()
    await Promise.all([lifecycle.stop(), lifecycle.stop()])
    assert.deepEqual(events, ['start a', 'start b', 'start c', 'stop c', 'stop b', 'stop a'])
  })

  it('stops the parts before the one that fails to start, and throws its error', async () => {
    const events: string[] = []
    const lifecycle = new Lifecycle({ logger, stopTimeoutMs: 1000 })
    lifecycle.add(recorder(events, 'a'))
    lifecycle.add(recorder(events, 'b', 'start'))
    lifecycle.add(recorder(events, 'c'))
    await assert.rejects(lifecycle.start(), { code: 'invalid_config' })
    assert.deepEqual(events, ['start a', 'start b', 'stop a'])
  })

  it('stops every part although one fails, and says which', async () => {
    const events: string[] = []
    const lifecycle = new Lifecycle({ logger, stopTimeoutMs: 1000 })
    lifecycle.add(recorder(events, 'a'))
    lifecycle.add(recorder(events, 'b', 'stop'))
    await lifecycle.start()
    await assert.rejects(lifecycle.stop(), { details: { parts: ['b'] } })
    assert.deepEqual(events.slice(2), ['stop b', 'stop a'])
  })

  it('stops gracefully at the first signal and gives status 0', async () => {
    const events: string[] = []
    const lifecycle = new Lifecycle({ logger, stopTimeoutMs: 1000 })
    lifecycle.add(recorder(events, 'a'))
    const running = lifecycle.runUntilSignal()
    process.emit('SIGTERM', 'SIGTERM')
    assert.equal(await running, 0)
    assert.deepEqual(events, ['start a', 'stop a'])
  })

  it('stops gracefully when the signal comes during the start', async () => {
    const events: string[] = []
    const lifecycle = new Lifecycle({ logger, stopTimeoutMs: 1000 })
    const gate = Promise.withResolvers<undefined>()
    lifecycle.add({ name: 'slow', start: () => gate.promise, stop: () => void events.push('stop') })
    lifecycle.add(recorder(events, 'later'))
    const running = lifecycle.runUntilSignal()
    process.emit('SIGTERM', 'SIGTERM')
    gate.resolve(undefined)
    assert.equal(await running, 0)
    assert.deepEqual(events, ['stop'])
  })

  it('ends at once at the second signal', async () => {
    const statuses: number[] = []
    const gate = Promise.withResolvers<undefined>()
    const lifecycle = new Lifecycle({
      logger,
      stopTimeoutMs: 1000,
      exit: (status) => statuses.push(status),
    })
    lifecycle.add({ name: 'stuck', stop: () => gate.promise })
    const running = lifecycle.runUntilSignal()
    await new Promise(setImmediate)
    process.emit('SIGTERM', 'SIGTERM')
    assert.deepEqual(statuses, [])
    process.emit('SIGTERM', 'SIGTERM')
    assert.deepEqual(statuses, [143])
    gate.resolve(undefined)
    await running
  })

  it('takes a SIGINT that npm forwards right after the terminal sent it for the same one', async () => {
    const statuses: number[] = []
    const gate = Promise.withResolvers<undefined>()
    const lifecycle = new Lifecycle({
      logger,
      stopTimeoutMs: 1000,
      exit: (status) => statuses.push(status),
    })
    lifecycle.add({ name: 'slow', stop: () => gate.promise })
    const running = lifecycle.runUntilSignal()
    await new Promise(setImmediate)
    process.emit('SIGINT', 'SIGINT')
    process.emit('SIGINT', 'SIGINT')
    gate.resolve(undefined)
    assert.equal(await running, 0)
    assert.deepEqual(statuses, [])
  })

  it('ends when the graceful stop takes too long', async () => {
    const exited = Promise.withResolvers<number>()
    const lifecycle = new Lifecycle({ logger, stopTimeoutMs: 5, exit: exited.resolve })
    const gate = Promise.withResolvers<undefined>()
    lifecycle.add({ name: 'stuck', stop: () => gate.promise })
    const running = lifecycle.runUntilSignal()
    await new Promise(setImmediate)
    process.emit('SIGINT', 'SIGINT')
    assert.equal(await exited.promise, 143)
    gate.resolve(undefined)
    await running
  })
})
