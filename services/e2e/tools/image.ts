/**
 * Builds the image without any container engine: an archive in the form of `docker save`, which
 * `ctr images import`, `docker load` and `podman load` take. Where an engine runs, deploy/Dockerfile
 * makes the same. Linux only: the base layer is this machine's C library and the pinned Node.
 *
 *     npm run image -- --out tributary.tar --name localhost/tributary:0.1.0
 *
 * Layers are reproducible: names sorted, owners and times fixed. The upper one is the application,
 * so that a new version of it moves 160 MB less.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { makeImageRoot } from './image-root.ts'

/** The user that distroless images call nonroot. */
const USER_ID = 65_532
const APP = 'app'
const VERSION = (
  JSON.parse(
    readFileSync(fileURLToPath(new URL('../../../package.json', import.meta.url)), 'utf8'),
  ) as { version: string }
).version

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'tributary-image.tar' },
    name: { type: 'string', default: `localhost/tributary:${VERSION}` },
  },
})
const work = mkdtempSync(join(tmpdir(), 'tributary-image-'))
try {
  buildImage(resolve(values.out), values.name)
} finally {
  rmSync(work, { recursive: true, force: true })
}

function buildImage(out: string, name: string): void {
  makeImageRoot(join(work, 'upper', APP))
  makeBase(join(work, 'base'), join(work, 'upper', APP))
  const layers = ['base', 'upper'].map((layer) => archiveLayer(join(work, layer), layer))
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    created: '1970-01-01T00:00:00Z',
    config: {
      User: `${String(USER_ID)}:${String(USER_ID)}`,
      WorkingDir: `/${APP}`,
      Env: ['PATH=/usr/bin:/bin', 'NODE_ENV=production', 'TRIBUTARY_HOST=0.0.0.0'],
      Entrypoint: ['/usr/bin/node', 'services/cli/src/main.js'],
      Labels: {
        'org.opencontainers.image.title': 'tributary',
        'org.opencontainers.image.version': VERSION,
        'org.opencontainers.image.licenses': 'Apache-2.0',
      },
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => `sha256:${digest}`) },
    history: layers.map(({ layer }) => ({
      created: '1970-01-01T00:00:00Z',
      created_by: `tributary image, ${layer}`,
    })),
  }
  writeFileSync(join(work, 'config.json'), JSON.stringify(config))
  const files = layers.map(({ layer }) => `${layer}.tar`)
  writeFileSync(
    join(work, 'manifest.json'),
    JSON.stringify([{ Config: 'config.json', RepoTags: [name], Layers: files }]),
  )
  tar(work, out, ['manifest.json', 'config.json', ...files])
  const bytes = execFileSync('stat', ['-c', '%s', out], { encoding: 'utf8' }).trim()
  process.stdout.write(`${out}: ${name}, ${bytes} bytes\n`)
}

/** Node, the libraries that it and the native modules are linked with, and nothing to log in with. */
function makeBase(base: string, app: string): void {
  for (const folder of ['usr/bin', 'etc', 'tmp', 'data']) {
    mkdirSync(join(base, folder), { recursive: true })
  }
  chmodSync(join(base, 'tmp'), 0o1777)
  chmodSync(join(base, 'data'), 0o777)
  cpSync(realpathSync(process.execPath), join(base, 'usr/bin/node'))
  for (const library of librariesOf([process.execPath, ...nativeModules(app)])) {
    const target = join(base, library)
    mkdirSync(dirname(target), { recursive: true })
    cpSync(realpathSync(library), target)
  }
  const id = String(USER_ID)
  writeFileSync(join(base, 'etc/passwd'), `root:x:0:0:root:/:/\nnonroot:x:${id}:${id}::/data:/\n`)
  writeFileSync(join(base, 'etc/group'), `root:x:0:\nnonroot:x:${id}:\n`)
  // containerd resolves names through it; without it hosts files would be ignored
  writeFileSync(join(base, 'etc/nsswitch.conf'), 'hosts: files dns\n')
}

function nativeModules(app: string): string[] {
  return readdirSync(app, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(node|so)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
}

/** Absolute paths, those of dlopen'd resolvers included. */
function librariesOf(programs: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>()
  for (const program of programs) {
    const linked = execFileSync('ldd', [program], { encoding: 'utf8' })
    for (const [, path = ''] of linked.matchAll(/(?:=> |^\s+)(\/\S+) \(/gm)) found.add(path)
  }
  const libc = [...found].find((path) => path.endsWith('/libc.so.6'))
  if (libc === undefined)
    throw new Error('node is not linked with glibc: build with deploy/Dockerfile')
  for (const resolver of ['libnss_files.so.2', 'libnss_dns.so.2', 'libresolv.so.2']) {
    found.add(join(dirname(libc), resolver))
  }
  return new Set([...found].filter((path) => !path.startsWith(work)))
}

function archiveLayer(folder: string, layer: string): { layer: string; digest: string } {
  const path = join(work, `${layer}.tar`)
  tar(folder, path, ['.'])
  return { layer, digest: createHash('sha256').update(readFileSync(path)).digest('hex') }
}

function tar(folder: string, out: string, members: readonly string[]): void {
  const fixed = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner']
  execFileSync('tar', [...fixed, '-C', folder, '-cf', out, ...members])
}
