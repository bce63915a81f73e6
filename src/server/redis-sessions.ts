// A node's records of its sessions. With them, it detects that Redis has come back with an older state.
import type { StoreEvent } from './store.js'

interface Known {
  epoch: number
  /** The number of the newest message. */
  newest: number
  /** When the session has lost its connection. */
  detached: number | undefined
}

/** The number of sessions that one script checks. */
const PART = 100

export class KnownSessions {
  private readonly all = new Map<string, Known>()
  private readonly sessionTimeout: number

  constructor(sessionTimeout: number) {
    this.sessionTimeout = sessionTimeout
  }

  begin(id: string, epoch: number, newest: number): void {
    this.all.set(id, { epoch, newest, detached: undefined })
  }

  detach(id: string, epoch: number): void {
    const known = this.all.get(id)
    if (known?.epoch === epoch) known.detached = Date.now()
  }

  /** The node has a message with this number, which it may have sent to the client. */
  see(id: string, newest: number): void {
    const known = this.all.get(id)
    if (known && newest > known.newest) known.newest = newest
  }

  follow(event: StoreEvent): void {
    if (event.kind === 'messages') {
      if (event.message) this.see(event.session, event.message.sequenceId)
    } else if (event.kind === 'ended') this.all.delete(event.session)
    else if (event.kind === 'moved') {
      const known = this.all.get(event.session)
      if (known && known.epoch < event.epoch) this.all.delete(event.session)
    }
  }

  /** Forgets sessions that ended without a notice. */
  sweep(): void {
    const limit = Date.now() - 2 * this.sessionTimeout
    for (const [id, { detached }] of this.all) {
      if (detached !== undefined && detached < limit) this.all.delete(id)
    }
  }

  /** In parts: id, epoch and number of each session. */
  *parts(): Generator<(string | number)[]> {
    let part: (string | number)[] = []
    for (const [id, { epoch, newest }] of this.all) {
      part.push(id, epoch, newest)
      if (part.length < 3 * PART) continue
      yield part
      part = []
    }
    yield part
  }
}
