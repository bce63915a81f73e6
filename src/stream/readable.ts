import type { Socket } from '../index.js'
import { messages } from './messages.js'
import type { Message, ReadOptions } from './types.js'

/**
 * The same as `messages()`, as a stream, with the same options, end and errors. Cancelling it stops listening; the socket stays open.
 *
 * ```ts
 * await readable(socket).pipeTo(new WritableStream({ write: show }))
 * ```
 */
// https://streams.spec.whatwg.org/#rs-class
export const readable = <Binary extends 'arraybuffer' | 'blob' = 'arraybuffer'>(
  socket: Socket<Binary>,
  options?: ReadOptions<Binary>,
): ReadableStream<Message<Binary>> => {
  let source: ReturnType<typeof messages<Binary>>
  return new ReadableStream<Message<Binary>>(
    {
      // Not before: where there are no streams, the constructor throws, and nothing may have started.
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
    // No queue of its own: everything is buffered and counted in one place.
    { highWaterMark: 0 },
  )
}
