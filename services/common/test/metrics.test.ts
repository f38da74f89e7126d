import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { EventLoopMonitor } from '../src/event-loop-monitor.ts'
import { createRegistry } from '../src/metrics.ts'

describe('createRegistry', () => {
  it('keeps registries apart', () => {
    const monitored = createRegistry({ hasProcessMetrics: false })
    new EventLoopMonitor(monitored)
    new EventLoopMonitor(createRegistry({ hasProcessMetrics: false }))
    assert.equal(monitored.getMetricsAsArray().length, 2)
  })
})

describe('EventLoopMonitor', () => {
  it('sees a loop that was held, exports it, and forgets it on reset', async () => {
    const registry = createRegistry({ hasProcessMetrics: false })
    const monitor = new EventLoopMonitor(registry)
    monitor.start()
    await new Promise((resolve) => setTimeout(resolve, 30))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 80)
    await new Promise((resolve) => setTimeout(resolve, 1100))
    assert.ok(monitor.longestStallMs >= 70, `saw ${monitor.longestStallMs} ms`)
    const exported = await registry
      .getSingleMetric('tributary_event_loop_longest_stall_seconds')
      ?.get()
    assert.ok(Number(exported?.values[0]?.value) >= 0.07)
    monitor.reset()
    assert.ok(monitor.longestStallMs < 70)
    monitor.stop()
  })

  it('sees it after idle seconds too, when it looks less often', async () => {
    const monitor = new EventLoopMonitor(createRegistry({ hasProcessMetrics: false }))
    monitor.start()
    await new Promise((resolve) => setTimeout(resolve, 2200))
    monitor.reset()
    await new Promise((resolve) => setTimeout(resolve, 60))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 80)
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.ok(monitor.longestStallMs >= 55, `saw ${monitor.longestStallMs} ms`)
    monitor.stop()
  })
})
