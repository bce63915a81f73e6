// An object that stands for all sessions of a user.
import type { DataType } from '../reliable/frames.js'
import type { User } from './api.js'
import { checkClose } from './checks.js'
import { checkName } from './frames.js'
import { type StoredFrame, type StoreNode, userGroup } from './store.js'

/** The part of the server that a user needs. */
export interface UserHost {
  openStore(): Promise<StoreNode>
  /** Data as a frame of the server. Throws for data that cannot be sent. */
  write(data: unknown, dataType?: DataType): StoredFrame
}

/** How many of these succeeded. */
const countOf = async (work: readonly Promise<unknown>[]): Promise<number> =>
  (await Promise.all(work)).filter(Boolean).length

/** Throws a `TypeError` for an id that no user can have. */
export const createUser = ({ openStore, write }: UserHost, id: string): User => {
  if (typeof id !== 'string' || !id) throw new TypeError('user() needs the id of a user')
  const group = userGroup(id)
  const sessions = async () => (await openStore()).members(group)
  /** Uses one commit for each session, because each may be in too many groups, or end meanwhile. */
  const change = async (kind: 'join' | 'leave', name: string) => {
    checkName(`${kind}()`, name)
    const [store, all] = await Promise.all([openStore(), sessions()])
    const commits = all.map(async session => {
      const { count } = await store.commit([{ kind, session: session.id, group: name }])
      return count
    })
    return countOf(commits)
  }

  return {
    id,
    sessions,
    async send(data, dataType) {
      const frame = write(data, dataType)
      return (await (await openStore()).commit([{ kind: 'publish', group, frame }])).count
    },
    join: name => change('join', name),
    leave: name => change('leave', name),
    async end(code = 1008, reason = 'closed by the server') {
      checkClose(code, reason)
      const [store, all] = await Promise.all([openStore(), sessions()])
      return countOf(all.map(session => store.end(session.id, code, reason)))
    },
  }
}
