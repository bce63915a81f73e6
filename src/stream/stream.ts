import type {
  BinaryMessage,
  Data,
  ListenOptions,
  OpenEventData,
  Socket,
  SocketEvents,
  State,
} from '../index.js'

/** A message that came in: text, or what the socket's `binaryType` makes of binary. */
export type Message<Binary extends BinaryType = 'arraybuffer'> = string | BinaryMessage<Binary>

/** What becomes of a message for which there is no room. */
export type Overflow<Binary extends BinaryType = 'arraybuffer'> =
  | {
      /** It ends with an error, after what waits has been read. Nothing is missing before the error. Default. */
      overflow?: 'error'
    }
  | {
      /** Messages are left out: those that have waited longest, or those that come. */
      overflow: 'drop-oldest' | 'drop-newest'
      /** Is told each of them. */
      onDrop: (message: Message<Binary>) => unknown
    }

/** How to read. */
export type ReadOptions<Binary extends BinaryType = 'arraybuffer'> = Overflow<Binary> & {
  /** Stops at once when aborted, with the signal's reason as the error. What waits is not read any more. Default: none. */
  signal?: AbortSignal
  /**
   * There is room until so much waits to be read: bytes of binary, characters of text, and 64 for each message. So
   * one message more may wait; 0: none does. Default: 16 MiB.
   */
  highWaterMark?: number
}

/** How to write. */
export interface WriteOptions {
  /**
   * Ends it with the signal's reason when aborted, at once. The signal of `pipeTo()` is only heard after the write that is
   * under way, which may wait for a connection. Default: none.
   */
  signal?: AbortSignal
  /** Writing goes on while the socket's `bufferedAmount` is not above this. Default: 1 MiB. */
  highWaterMark?: number
}

type Listeners<Binary extends BinaryType> = {
  [Type in keyof SocketEvents]?: (payload: SocketEvents<Binary>[Type]) => unknown
}

/** How often, in milliseconds, to see whether there is room: the platform has no event for it. Half as often each time. */
const POLL = 10
const SLOWEST_POLL = 1_000

/** What a message that waits costs beside its data. */
const OVERHEAD = 64

const check = (highWaterMark: number) => {
  if (!(highWaterMark >= 0)) throw new TypeError('highWaterMark takes a number from 0 up')
}

/** Why it has ended for good, if it has. One that was never to connect yet has not. */
const over = (state: State) => state.name === 'closed' && state.cause

/**
 * Listens until the socket has ended for good or the signal is aborted, or until told to finish: by what it returns.
 * `end` is called once in any case.
 */
const follow = <Binary extends BinaryType>(
  socket: Socket<Binary>,
  listeners: Listeners<Binary>,
  signal: AbortSignal | undefined,
  end: (error: any, aborted?: boolean) => void,
) => {
  const scope = new AbortController()
  const finish = (error?: unknown, aborted?: boolean) => {
    if (scope.signal.aborted) return
    scope.abort()
    signal?.removeEventListener('abort', abort)
    end(error, aborted)
  }
  const abort = () => finish(signal?.reason, true)
  const look = async (state: State) => {
    const cause = over(state)
    // Its last events come after its state.
    await 0
    if (cause) finish(cause)
  }
  for (const type in listeners) socket.on(type as 'text', listeners[type as 'text'] as any, scope)
  socket.on('state', look, scope)
  signal?.addEventListener('abort', abort)
  if (signal?.aborted) abort()
  look(socket.state)
  return finish
}

/**
 * What comes in, from this call on, over all connections. Leaving the loop stops listening.
 *
 * ```ts
 * for await (const message of messages(socket)) await show(message)
 * ```
 *
 * It ends when the socket is closed for good: by `close()`, by its own `signal`, or by the server with 1000 where it is
 * not tried again; for any other cause it throws the `SocketError`. What had come by then is read first.
 *
 * A WebSocket cannot be told to wait. So what is not read in time waits here, up to `highWaterMark`, and then
 * `overflow` says what happens. Throws a `TypeError` for a `highWaterMark` that is not a number from 0 up.
 */
export const messages = <Binary extends BinaryType = 'arraybuffer'>(
  socket: Socket<Binary>,
  options: ReadOptions<Binary> = {},
): AsyncGenerator<Message<Binary>, void, undefined> => {
  const {
    signal,
    highWaterMark = 2 ** 24,
    overflow,
    onDrop,
  } = options as typeof options & {
    onDrop: (message: Message<Binary>) => unknown
  }
  check(highWaterMark)
  interface Link {
    message?: Message<Binary> | undefined
    size: number
    next?: Link
  }
  /** What waits to be read follows this one: a long array would be slow to take the first from. */
  let head: Link = { size: 0 }
  let tail = head
  let held = 0
  /** Is there while a reader waits. */
  let wake: (() => void) | undefined
  /** Ends the reading, where nothing waits any more. */
  let end: (() => void) | undefined

  const take = () => {
    head = head.next as Link
    const { message, size } = head
    head.message = undefined
    held -= size
    return message as Message<Binary>
  }
  const hear = (message: any) => {
    const size = wake ? 0 : OVERHEAD + (message.length ?? message.byteLength ?? message.size)
    const isFull = size && held >= highWaterMark
    if (isFull && overflow === 'drop-newest') onDrop(message)
    else if (isFull && overflow !== 'drop-oldest') {
      finish(new Error(`${held} bytes wait: read faster, or raise highWaterMark`))
    } else {
      tail = tail.next = { message, size }
      held += size
      wake?.()
      wake = undefined
      // Last, for it may throw, or leave.
      while (isFull && head.next !== tail && held - size >= highWaterMark) onDrop(take())
    }
  }
  const finish = follow(socket, { text: hear, binary: hear }, signal, (error, aborted) => {
    if (aborted) head = { size: 0 }
    end ??= () => {
      if (aborted || (error.code !== 'CLOSED' && error.close?.code !== 1000)) throw error
    }
    wake?.()
  })
  const reading = (async function* () {
    for (;;) {
      if (head.next) yield take()
      else if (end) return end()
      else
        await new Promise<void>(resolve => {
          wake = resolve
        })
    }
  })()
  // By itself it would wait for the next message before it left, or not begin at all and listen for ever.
  for (const how of ['return', 'throw'] as const) {
    const leave = reading[how].bind(reading)
    reading[how] = (value: any) => {
      end = () => {}
      finish(0, true)
      return leave(value)
    }
  }
  return reading
}

/**
 * The same as a stream. What waits is held back in it as in `messages()`, with the same end, errors and options.
 * Cancelling it stops listening; the socket stays as it is.
 *
 * ```ts
 * await readable(socket).pipeTo(new WritableStream({ write: show }))
 * ```
 */
// https://streams.spec.whatwg.org/#rs-class
export const readable = <Binary extends BinaryType = 'arraybuffer'>(
  socket: Socket<Binary>,
  options?: ReadOptions<Binary>,
): ReadableStream<Message<Binary>> => {
  let source: ReturnType<typeof messages<Binary>>
  return new ReadableStream<Message<Binary>>(
    {
      // Here, for without streams nothing must have begun.
      start() {
        source = messages(socket, options)
      },
      async pull(controller) {
        const { value, done } = await source.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel: () => source.return() as Promise<any>,
    },
    // It has nothing of its own: all that waits is counted in one place.
    { highWaterMark: 0 },
  )
}

/**
 * Sends what is written to it, each chunk as one message. While more than `highWaterMark` waits to leave, here or in the
 * browser, connected or not, it makes the writer wait.
 *
 * ```ts
 * await file.stream().pipeTo(writable(socket))
 * ```
 *
 * Closing it waits until all has left, and leaves the socket open. Aborting it is prompt, and takes nothing back that the
 * socket has. Errors: what `send()` throws, a message that was dropped, the `SocketError` of a socket that has
 * ended for good.
 */
export const writable = <Binary extends BinaryType>(
  socket: Socket<Binary>,
  { signal, highWaterMark = 2 ** 20 }: WriteOptions = {},
): WritableStream<Data> => {
  check(highWaterMark)
  let timer: ReturnType<typeof setTimeout> | undefined
  let wake: (() => void) | undefined
  let finish: ReturnType<typeof follow>
  /** What has ended it. */
  let failure: { error: unknown } | undefined

  const look = () => wake?.()
  /** Waits until no more than so much is left. */
  const room = async (most: number) => {
    let delay = POLL
    // One that is over has nothing left, for it has dropped it.
    while (!failure && (socket.bufferedAmount > most || over(socket.state))) {
      await new Promise<void>(resolve => {
        wake = resolve
        // Without a connection nothing leaves.
        if (socket.state.name === 'open') {
          timer = setTimeout(() => {
            delay = Math.min(delay * 2, SLOWEST_POLL)
            resolve()
          }, delay)
        }
      })
      clearTimeout(timer)
    }
    if (failure) throw failure.error
  }
  const quit = (error?: unknown) => {
    failure = { error }
    finish()
  }

  return new WritableStream<Data>({
    start(controller) {
      finish = follow(
        socket,
        {
          text: look,
          binary: look,
          state: look,
          drop({ reason }) {
            // The event does not say whose message it was. Ours have no wishes, so that only these reasons are left.
            if (/^[ot]/.test(reason)) finish(new Error(`A message was dropped: ${reason}`))
            look()
          },
        },
        signal,
        error => {
          if (!failure) controller.error(error)
          failure ??= { error }
          look()
        },
      )
      // Without it, and before Safari 16.4 there is none, an abort waits for the write before it.
      controller.signal?.addEventListener('abort', () => quit(controller.signal.reason))
    },
    async write(data) {
      await room(highWaterMark)
      try {
        if (socket.send(data) === 'dropped') finish((socket.state as { cause?: unknown }).cause)
      } catch (error) {
        finish(error)
      }
      await room(highWaterMark)
    },
    async close() {
      await room(0)
      quit()
    },
    abort: quit,
  })
}

/**
 * The next event of this type; for `'open'` the present connection, if there is one. Rejects with the signal's reason, and
 * with the `SocketError` of a socket that has ended for good.
 *
 * ```ts
 * await when(socket, 'open', { signal: AbortSignal.timeout(5_000) })
 * ```
 */
export const when = <Type extends keyof SocketEvents, Binary extends BinaryType = 'arraybuffer'>(
  socket: Socket<Binary>,
  type: Type,
  { signal }: Pick<ListenOptions, 'signal'> = {},
): Promise<SocketEvents<Binary>[Type]> =>
  new Promise((resolve, reject) => {
    const hear = (payload: any) => {
      resolve(payload)
      finish()
    }
    const finish = follow(socket, { [type]: hear }, signal, reject)
    const { state } = socket
    if (type === 'open' && state.name === 'open') {
      const { attempt, url, protocol } = state
      hear({ attempt, url, protocol, reconnected: socket.stats.connections > 1 } satisfies OpenEventData)
    }
  })
