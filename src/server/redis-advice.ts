// Settings of Redis that can lose sessions.
import type { RedisLink } from './redis-client.js'

/** The values of `CONFIG GET`, which is a list of names and values, or an object in the newer version of Redis's protocol. */
const readSettings = (answer: unknown): Record<string, string> => {
  if (answer instanceof Map) return Object.fromEntries(answer)
  if (!Array.isArray(answer)) return { ...(answer as object) }
  const settings: Record<string, string> = {}
  for (let i = 0; i < answer.length; i += 2) settings[String(answer[i])] = String(answer[i + 1])
  return settings
}

/** Reports settings that can lose sessions. Reports nothing if Redis does not allow `CONFIG`, as is common with hosted Redis. */
export const reportRisks = async (
  link: RedisLink,
  key: string,
  report: (message: string) => void,
): Promise<void> => {
  const ask = async (name: string) =>
    readSettings(await link.send(key, ['CONFIG', 'GET', name]).catch(() => []))[name]
  const [policy, save, appendonly] = await Promise.all(['maxmemory-policy', 'save', 'appendonly'].map(ask))
  if (policy !== undefined && policy !== 'noeviction') {
    report(
      `maxmemory-policy of Redis is ${policy}: when memory is short, Redis deletes sessions. Set it to noeviction`,
    )
  }
  if (save !== '' || appendonly !== 'no') return
  const info = String(await link.send(key, ['INFO', 'replication']).catch(() => ''))
  if (!info.includes('connected_slaves:0')) return
  report(
    'Redis keeps nothing on disk and has no replica: when it stops, all sessions end. Set appendonly to yes',
  )
}
