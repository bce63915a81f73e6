// Numbered messages both ways, and the account of them.
import type { Gap, Outcome, ReliableSocket } from '../../src/reliable.ts'
import type { Word } from './reliable-node.ts'

/** What came of a stream of numbers from 1 up. */
export interface Account {
  received: number
  duplicated: number
  /** Came after a higher one. */
  reordered: number
  highest: number
  /** How many never came, of so many. */
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

/** Messages of a few bytes, now and then one that fills many packets: it can be cut in the middle. */
const sizeOf = (n: number): number => (n % 40 ? n % 50 : 1_000 + ((n * 7_919) % 60_000))

/** The place of a reply in the stream of replies: there are two to each odd number, one to each even one. */
const placeOf = (n: number, part: number): number => n + Math.floor(n / 2) + part

/** How many messages have to come before a client sends more. More than the window, so that some wait. */
const AHEAD = 300

/** A client that sends numbers, and keeps account of what it hears. */
export const createTalker = (socket: ReliableSocket, from: number) => {
  const replies = createAccount()
  const pushes = createAccount()
  const outcomes: Record<Outcome['status'], number> = { delivered: 0, stored: 0, unknown: 0, dropped: 0 }
  /** What may not happen. */
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
    /** How many replies there are to what was sent. */
    get expected() {
      return placeOf(sent + 1, 0) - 1
    },
    begin: more,
    /** Sends no more. */
    stop() {
      talking = false
    },
    /** Resolves when this holds, or when something is wrong. */
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
