/**
 * The repository as policy tests see it: files with their text, parsed only once. Walks the folder
 * rather than asking git, so that a file counts before it is committed and without any git at all.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, relative, resolve, sep } from 'node:path'

import ts from 'typescript'

export const ROOT = resolve(import.meta.dirname, '../../../..')

/** Folders that hold nothing we write: dependencies, build results, data. */
const IGNORED = new Set(['node_modules', 'dist', '.git', '.venv', '.cache', 'fixtures'])
const IGNORED_AT_ROOT = new Set(['data'])

export interface SourceFile {
  /** Path from the root with forward slashes. */
  readonly path: string
  readonly text: string
}

let walked: readonly SourceFile[] | undefined

/** Code that only tests and benches run: free to use development dependencies and the environment. */
export function isTestCode(path: string): boolean {
  return path.startsWith('services/e2e/') || /\/(test|bench|src\/testing)\//.test(path)
}

/** Every text file of the repository whose path ends with one of the endings. */
export function filesEndingWith(...endings: readonly string[]): readonly SourceFile[] {
  walked ??= [...walk(ROOT)]
  return walked.filter((file) => endings.some((ending) => file.path.endsWith(ending)))
}

export function readText(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

const TEXT_ENDINGS = ['.ts', '.js', '.mjs', '.json', '.md', '.proto', '.yml', '.yaml', '.txt']

function* walk(folder: string): Generator<SourceFile> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (IGNORED.has(entry.name) || (folder === ROOT && IGNORED_AT_ROOT.has(entry.name))) continue
    const full = join(folder, entry.name)
    if (entry.isDirectory()) yield* walk(full)
    else if (TEXT_ENDINGS.some((ending) => entry.name.endsWith(ending)) || isScript(full)) {
      const path = relative(ROOT, full).split(sep).join('/')
      yield { path, text: readFileSync(full, 'utf8') }
    }
  }
}

function isScript(full: string): boolean {
  return dirname(full).endsWith('.ci')
}

const parsed = new Map<string, ts.SourceFile>()

/** The syntax tree of a TypeScript file, with parents set. */
export function parse(file: SourceFile): ts.SourceFile {
  let tree = parsed.get(file.path)
  if (tree === undefined) {
    tree = ts.createSourceFile(file.path, file.text, ts.ScriptTarget.ES2023, true)
    parsed.set(file.path, tree)
  }
  return tree
}

/** Every node of a tree, parents first. */
export function* nodesOf(node: ts.Node): Generator<ts.Node> {
  yield node
  const children: ts.Node[] = []
  ts.forEachChild(node, (child) => void children.push(child))
  for (const child of children) yield* nodesOf(child)
}

/** `path:line` for a problem list. */
export function placeOf(file: SourceFile, node: ts.Node): string {
  const tree = parse(file)
  return `${file.path}:${tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1}`
}

export interface Import {
  /** As written. */
  readonly specifier: string
  /** Path of the file it names, for imports within the repository. */
  readonly target: string | undefined
  /** Name of the package it names, for imports from outside; undefined for Node's own modules. */
  readonly packageName: string | undefined
  readonly isTypeOnly: boolean
}

/** What a file imports, exports from, or loads with `import()`. */
export function importsOf(file: SourceFile): readonly Import[] {
  const found: Import[] = []
  for (const node of nodesOf(parse(file))) {
    const specifier = specifierOf(node)
    if (specifier === undefined) continue
    const isTypeOnly =
      (ts.isImportDeclaration(node) &&
        node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword) ||
      (ts.isExportDeclaration(node) && node.isTypeOnly) ||
      ts.isImportTypeNode(node)
    found.push({ specifier, isTypeOnly, ...resolveSpecifier(file.path, specifier) })
  }
  return found
}

function specifierOf(node: ts.Node): string | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) {
    const specifier = node.moduleSpecifier
    return specifier !== undefined && ts.isStringLiteral(specifier) ? specifier.text : undefined
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments
    return argument !== undefined && ts.isStringLiteral(argument) ? argument.text : undefined
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    return ts.isStringLiteral(node.argument.literal) ? node.argument.literal.text : undefined
  }
  return undefined
}

function resolveSpecifier(
  importer: string,
  specifier: string,
): { target: string | undefined; packageName: string | undefined } {
  if (specifier.startsWith('.')) {
    const target = relative(ROOT, resolve(ROOT, dirname(importer), specifier))
      .split(sep)
      .join('/')
    return { target, packageName: undefined }
  }
  const own = /^@tributary\/([^/]+)\/(.+)$/.exec(specifier)
  if (own !== null) {
    return { target: `services/${own[1]}/src/${own[2]}.ts`, packageName: `@tributary/${own[1]}` }
  }
  if (specifier.startsWith('node:')) return { target: undefined, packageName: undefined }
  const parts = specifier.split('/')
  const packageName = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0]
  return { target: undefined, packageName }
}

/** True for `fs` where `node:fs` is meant. */
export function isBareBuiltin(specifier: string): boolean {
  return !specifier.startsWith('node:') && builtinModules.includes(specifier)
}
