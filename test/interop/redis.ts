// Starts Redis servers for tests with several nodes. Each server is empty, has its own port, and writes nothing to disk.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createClient } from 'redis'
import { canInstall, findOrInstall, findProgram } from '../support/debian.ts'
import { freePort } from '../support/ports.ts'
import { missing } from '../support/run.ts'

const program = () => findProgram(process.env.REDIS_PATH, '/usr/bin/redis-server', 'redis-server')

/** Whether there is a Redis to test with. It is installed if that is possible, and reported as missing otherwise. */
export function hasRedis(): boolean {
  if (process.env.REDIS_URL || findOrInstall(program, 'redis-server')) return true
  missing(
    'redis-server',
    'install it, or name it with REDIS_PATH, or one that runs with REDIS_URL',
    canInstall(),
  )
  return false
}

export interface Redis {
  readonly url: string
  stop(): Promise<void>
}

/** Runs a program, and kills it when the parent process has ended for any reason, because then stdin closes. */
export const LIFELINE = 'exec 3<&0; "$@" & child=$!; { cat <&3 >/dev/null; kill -9 $child; } & wait $child'

/** Starts a Redis. Without a port, it may be the one that `REDIS_URL` names. `settings`: as in its configuration file. */
export async function startRedis(wanted = 0, settings: Record<string, string | number> = {}): Promise<Redis> {
  if (process.env.REDIS_URL && !wanted) return { url: process.env.REDIS_URL, stop: async () => {} }
  const redis = program()
  if (!redis) throw new Error('no redis-server here')
  const port = wanted || (await freePort())
  // Each Redis has its own folder, because it would load the files of another one, which replicas write.
  const dir = mkdtempSync(join(tmpdir(), 'steadysocket-redis-'))
  const options = { port, bind: '127.0.0.1', save: '', appendonly: 'no', dir, ...settings }
  const child = spawn(
    'sh',
    [
      '-c',
      LIFELINE,
      'sh',
      redis,
      ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]),
    ],
    { stdio: ['pipe', 'pipe', 'ignore'] },
  )
  const log: string[] = []
  const started = new Promise<void>(resolve => {
    createInterface(child.stdout).on('line', line => {
      log.push(line)
      if (line.includes('Ready to accept connections')) resolve()
    })
  })
  const exited = once(child, 'exit')
  await Promise.race([started, exited.then(() => Promise.reject(new Error(`redis: ${log.join('\n')}`)))])
  return {
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      child.stdin.end()
      await exited
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

export type Client = Awaited<ReturnType<typeof connectRedis>>

/** A client of the `redis` package, connected. */
export async function connectRedis(url: string) {
  const client = createClient({ url })
  client.on('error', () => {})
  await client.connect()
  return client
}
