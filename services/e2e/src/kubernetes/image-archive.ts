/**
 * Writes container images without any engine, in the form of `docker save`. Layers are reproducible:
 * names sorted, owners and times fixed. Linux only: roots are made of this machine's programs and the
 * libraries that they are linked with.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** The user that distroless images call nonroot. */
export const USER_ID = 65_532

export interface ImageOptions {
  readonly out: string
  /** repository:tag */
  readonly name: string
  /** More of them. */
  readonly otherNames?: readonly string[]
  /** Folders that become layers, the first one lowest. */
  readonly layers: readonly string[]
  readonly entrypoint: readonly string[]
  readonly environment: readonly string[]
  readonly workingFolder: string
  readonly labels?: Readonly<Record<string, string>>
}

const CREATED = '1970-01-01T00:00:00Z'

/** @returns bytes of the archive */
export async function writeImage(options: ImageOptions): Promise<number> {
  const work = mkdtempSync(join(tmpdir(), 'tributary-image-'))
  try {
    const digests: string[] = []
    const files = options.layers.map((_, index) => `layer-${String(index)}.tar`)
    for (const [index, folder] of options.layers.entries()) {
      const path = join(work, files[index]!)
      tar(folder, path, ['.'])
      digests.push(await sha256Of(path))
    }
    writeFileSync(join(work, 'config.json'), JSON.stringify(configOf(options, digests)))
    const manifest = [
      {
        Config: 'config.json',
        RepoTags: [options.name, ...(options.otherNames ?? [])],
        Layers: files,
      },
    ]
    writeFileSync(join(work, 'manifest.json'), JSON.stringify(manifest))
    tar(work, options.out, ['manifest.json', 'config.json', ...files])
    return statSync(options.out).size
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function configOf(options: ImageOptions, digests: readonly string[]): unknown {
  return {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    created: CREATED,
    config: {
      User: `${String(USER_ID)}:${String(USER_ID)}`,
      WorkingDir: options.workingFolder,
      Env: options.environment,
      Entrypoint: options.entrypoint,
      Labels: options.labels ?? {},
    },
    rootfs: { type: 'layers', diff_ids: digests.map((digest) => `sha256:${digest}`) },
    history: digests.map(() => ({ created: CREATED, created_by: 'tributary' })),
  }
}

/** Makes a root with a user, places to write, the programs and what they are linked with. */
export function makeRoot(
  root: string,
  programs: Readonly<Record<string, string>>,
  linked: readonly string[] = [],
): void {
  for (const folder of ['etc', 'tmp', 'data']) mkdirSync(join(root, folder), { recursive: true })
  chmodSync(join(root, 'tmp'), 0o1777)
  chmodSync(join(root, 'data'), 0o777)
  const id = String(USER_ID)
  writeFileSync(join(root, 'etc/passwd'), `root:x:0:0:root:/:/\nnonroot:x:${id}:${id}::/data:/\n`)
  writeFileSync(join(root, 'etc/group'), `root:x:0:\nnonroot:x:${id}:\n`)
  // names are looked up in hosts files and DNS, by the libraries copied below
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n')
  for (const [target, program] of Object.entries(programs)) copyInto(root, program, target)
  const libraries = librariesOf([...Object.values(programs), ...linked], linked)
  for (const library of libraries) copyInto(root, library, library)
}

/** Native modules and libraries below a folder. */
export function nativeFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(node|so)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
}

/** Absolute paths, those of dlopen'd resolvers included; not those that come with the files themselves. */
function librariesOf(programs: readonly string[], own: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>()
  const ownNames = new Set(own)
  for (const program of programs) {
    const listed = linkedWith(program)
    for (const [, path = ''] of listed.matchAll(/(?:=> |^\s+)(\/\S+) \(/gm)) {
      if (!ownNames.has(path)) found.add(path)
    }
  }
  const libc = [...found].find((path) => path.endsWith('/libc.so.6'))
  if (libc === undefined) throw new Error('these programs are not linked with glibc')
  for (const resolver of ['libnss_files.so.2', 'libnss_dns.so.2', 'libresolv.so.2']) {
    found.add(join(dirname(libc), resolver))
  }
  return found
}

/** What ldd says; nothing for a program that is linked with nothing. */
function linkedWith(program: string): string {
  try {
    return execFileSync('ldd', [program], { encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    const { stderr, stdout } = error as { stderr?: string; stdout?: string }
    if (/not a dynamic executable/.test(`${stderr ?? ''}${stdout ?? ''}`)) return ''
    throw error
  }
}

function copyInto(root: string, from: string, target: string): void {
  const path = join(root, target)
  mkdirSync(dirname(path), { recursive: true })
  cpSync(realpathSync(from), path)
}

function tar(folder: string, out: string, members: readonly string[]): void {
  const fixed = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner']
  execFileSync('tar', [...fixed, '-C', folder, '-cf', out, ...members])
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
  return hash.digest('hex')
}
