/**
 * The frames of a reliable session that several tabs share. To the server, they all come from one client, although each tab has a client of its
 * own. The numbers of requests get a prefix, so that the numbers of two tabs differ, and each tab counts messages from the first one that it
 * received.
 */
export interface SessionFrames {
  /** The frame for the server. `undefined`: the frame must not be sent. */
  out(text: string): string | undefined
  /** The frame for this tab. `undefined`: the frame is for another tab. */
  in(text: string): string | undefined
}

/** How many requests a tab numbers with one prefix of 33 bits. */
const REQUESTS = 2 ** 20

const createPrefix = () => Math.floor(Math.random() * 2 ** 33) * REQUESTS

/** The frame of a text. `undefined`: the text is not a frame. */
const parse = (text: string): any => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Whether this is the first frame of a session on a connection. */
const isConnected = (frame: any): boolean => frame?.type === 'system' && frame.event === 'connected'

/** `isAlone`: whether no other tab needs the session. */
export const createSessionFrames = (isAlone: () => boolean): SessionFrames => {
  /** The numbers of unanswered requests, as this tab and as the server know them. */
  const outside = new Map<number, number>()
  const inside = new Map<number, number>()
  let next = createPrefix()
  let session: unknown
  /** The number of the last message before this tab joined. Unknown until the first message arrives. */
  let base: number | undefined

  return {
    out(text) {
      const frame = JSON.parse(text)
      if (frame.type === 'endSession') return isAlone() ? text : undefined
      if (frame.type === 'sequenceAck') {
        if (base === undefined) return undefined
        frame.sequenceId += base
      } else if (frame.ackId !== undefined) {
        const { ackId } = frame
        if (!outside.has(ackId)) {
          outside.set(ackId, next)
          inside.set(next, ackId)
          next = (next + 1) % REQUESTS ? next + 1 : createPrefix()
        }
        frame.ackId = outside.get(ackId)
      }
      return JSON.stringify(frame)
    },
    in(text) {
      const frame = parse(text)
      if (frame?.type === 'message') {
        base ??= frame.sequenceId - 1
        frame.sequenceId -= base as number
      } else if (frame?.type === 'ack') {
        const ackId = inside.get(frame.ackId)
        if (ackId === undefined) return undefined
        inside.delete(frame.ackId)
        outside.delete(ackId)
        frame.ackId = ackId
      } else if (isConnected(frame)) {
        if (session !== frame.connectionId) base = undefined
        session = frame.connectionId
        if (base === undefined) delete frame.sequenceId
        else if (frame.sequenceId !== undefined) frame.sequenceId -= base
      } else return text
      return JSON.stringify(frame)
    },
  }
}

/** Whether the message of the server is the first frame of a session on a connection. */
export const isGreeting = (message: unknown): boolean => isConnected(parse(message as string))
