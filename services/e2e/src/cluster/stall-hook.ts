/** Loaded into the processes of a test cluster: SIGUSR2 blocks the event loop for some seconds. */
const STALL_MS = 6000

process.on('SIGUSR2', () => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALL_MS)
})
