// Numbered messages in both directions, and the counts of lost, duplicated and reordered ones.
import type { Gap, Outcome, ReliableSocket } from '../../src/reliable.ts'
import type { Word } from './reliable-node.ts'

/** The counts of a stream of numbers that begins at 1. */
export interface Account {
  received: number
  duplicated: number
  /** The numbers that arrived after a higher one. */
  reordered: number
  highest: number
  /** Returns how many of the first `total` numbers never arrived. */
  lost(total: number): number
}

export const createAccount = (): Account & { take(n: number): void } => {
  const missing = new Set<number>()
  const account = {
    highest: 0,
    received: 0,
    duplicated: 0,
    reordered: 0,
    take(n: number) {
      account.received++
      for (let skipped = account.highest + 1; skipped < n; skipped++) missing.add(skipped)
      if (n > account.highest) account.highest = n
      else if (missing.delete(n)) account.reordered++
      else account.duplicated++
    },
    lost: (total: number) => missing.size + total - account.highest,
  }
  return account
}

/** The size of a message: usually a few bytes, and sometimes several packets, so that the connection can break in the middle. */
const sizeOf = (n: number): number => (n % 40 ? n % 50 : 1_000 + ((n * 7_919) % 60_000))

/** The position of a reply in the stream of replies: there are two for each odd number, and one for each even number. */
const placeOf = (n: number, part: number): number => n + Math.floor(n / 2) + part

/** The maximum number of messages without an outcome. It is larger than the window, so that some messages are queued. */
const AHEAD = 300

/** A client that sends numbers, and counts what it receives. */
export const createTalker = (socket: ReliableSocket, from: number) => {
  const replies = createAccount()
  const pushes = createAccount()
  const outcomes: Record<Outcome['status'], number> = { delivered: 0, stored: 0, unknown: 0, dropped: 0 }
  /** Violations of the guarantees. */
  const complaints: string[] = []
  let sent = 0
  let talking = true
  const waiting = new Set<() => void>()
  const check = () => {
    for (const look of waiting) look()
  }

  const complain = (what: string) => {
    if (complaints.length < 20) complaints.push(`client ${from}: ${what}`)
    check()
  }

  const more = () => {
    while (talking && sent - outcomes.delivered < AHEAD && !complaints.length) {
      const n = ++sent
      const word: Word = { from, n, pad: 'x'.repeat(sizeOf(n)) }
      socket.send(word).then(({ status }) => {
        outcomes[status]++
        if (status !== 'delivered') complain(`${n} is ${status}`)
        more()
        check()
      })
    }
  }

  socket.on('message', ({ data }) => {
    const { n, part, pad, push } = data as { n: number; part: number; pad: string; push: number }
    if (push) pushes.take(push)
    else {
      replies.take(placeOf(n, part))
      if (pad.length !== (part ? 0 : sizeOf(n))) complain(`the reply to ${n} has ${pad.length} bytes`)
    }
    check()
  })
  socket.on('gap', (gap: Gap) => complain(`gap: ${gap.reason}`))
  socket.on('error', error => {
    if (error instanceof TypeError) complain(`${error}`)
  })
  socket.on('state', ({ name }) => {
    if (name === 'closed') complain('gave up')
  })

  return {
    socket,
    from,
    replies,
    pushes,
    outcomes,
    complaints,
    get sent() {
      return sent
    },
    /** The number of replies to the sent messages. */
    get expected() {
      return placeOf(sent + 1, 0) - 1
    },
    begin: more,
    /** Stops sending. */
    stop() {
      talking = false
    },
    /** Resolves when the condition holds, or when there is a violation. */
    until: (holds: () => boolean) =>
      new Promise<void>(resolve => {
        const look = () => {
          if (!holds() && !complaints.length) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
  }
}

export type Talker = ReturnType<typeof createTalker>
