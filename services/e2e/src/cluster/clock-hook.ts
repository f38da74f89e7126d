/** Loaded into a process, as `clock-hook.ts?hours=-30`: its wall clock is so many hours off. */
const HOUR_MS = 3_600_000

const offMs = Number(new URL(import.meta.url).searchParams.get('hours')) * HOUR_MS
const trueNow = Date.now.bind(Date)
Date.now = () => trueNow() + offMs
