/**
 * Servers and roles that a test has started end with its process, however that ends: a run that fails must
 * not leave them behind. One listener for all of them, as Node warns of more than ten.
 */
import type { ChildProcess } from 'node:child_process'

const children = new Set<ChildProcess>()

process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

export function endWithUs(child: ChildProcess): void {
  children.add(child)
  child.once('exit', () => children.delete(child))
}
