/** docs/security.md says what the code calls and the chart opens: neither more nor less. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'

const ROOT = new URL('../../../', import.meta.url)

/** The action that each command of S3 needs (docs.aws.amazon.com, Actions for Amazon S3). */
const ACTIONS: Readonly<Record<string, string>> = {
  PutObjectCommand: 's3:PutObject',
  CreateMultipartUploadCommand: 's3:PutObject',
  UploadPartCommand: 's3:PutObject',
  CompleteMultipartUploadCommand: 's3:PutObject',
  AbortMultipartUploadCommand: 's3:AbortMultipartUpload',
  GetObjectCommand: 's3:GetObject',
  HeadObjectCommand: 's3:GetObject',
  DeleteObjectCommand: 's3:DeleteObject',
  ListObjectsV2Command: 's3:ListBucket',
  paginateListObjectsV2: 's3:ListBucket',
}

function read(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8')
}

void describe('docs/security.md', () => {
  const page = read('docs/security.md')

  void it('names the rights to a bucket that the code needs', () => {
    const folder = 'services/common/src/object-store/'
    const code = readdirSync(new URL(folder, ROOT)).map((name) => read(`${folder}${name}`))
    const used = code.join('\n').match(/\b(?:[A-Z]\w+Command|paginate\w+)\b/g) ?? []
    const needed = new Set(used.map((name) => ACTIONS[name] ?? `what does ${name} need?`))
    const ofIngesters = page.split('\n').filter((line) => line.startsWith('| ingesters, on `arn'))
    const told = new Set(ofIngesters.join('\n').match(/s3:\w+/g))
    assert.deepEqual([...told].toSorted(), [...needed].toSorted())
  })

  void it('has the rights to Redis that a test runs everything with', () => {
    const line = /^user tributary .*$/m
    assert.equal(line.exec(page)?.[0], line.exec(read('docs/format/redis.md'))?.[0])
  })

  void it('lists the ports that pods of the chart open', () => {
    for (const role of ['router', 'ingester']) {
      const opened = read(`charts/tributary/templates/${role}.yaml`).matchAll(
        /containerPort: (\d+)/g,
      )
      const rows = page
        .split('\n')
        .filter((line) => line.startsWith('| ') && line.split('|')[1]!.includes(role))
      const told = rows.flatMap((row) => /\| (\d+) \|/.exec(row)?.[1] ?? [])
      assert.deepEqual(
        told.toSorted(),
        [...new Set([...opened].map(([, port]) => port!))].toSorted(),
        role,
      )
    }
  })
})
