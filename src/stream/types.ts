import type { BinaryMessage } from '../index.js'

/** A received message: text, or binary data in the form of the socket's `binaryType`. */
export type Message<Binary extends 'arraybuffer' | 'blob' = 'arraybuffer'> = string | BinaryMessage<Binary>

/** The treatment of messages when the buffer is full. */
export type Overflow<Binary extends 'arraybuffer' | 'blob' = 'arraybuffer'> =
  | {
      /** Ends with an error, after the buffered messages were read. No message is missing before the error. The default. */
      overflow?: 'error' | undefined
    }
  | {
      /** Drops the oldest buffered message, or the one that arrives. */
      overflow: 'drop-oldest' | 'drop-newest'
      /** Called with each dropped message. */
      onDrop: (message: Message<Binary>) => unknown
    }

/** Options for reading. */
export type ReadOptions<Binary extends 'arraybuffer' | 'blob' = 'arraybuffer'> = Overflow<Binary> & {
  /** When aborted, ends reading at once, with the signal's reason as the error. Buffered messages are discarded. Default: none. */
  signal?: AbortSignal | undefined
  /**
   * The size from which the buffer is full: bytes of binary data, characters of text, and 64 for each message. The buffer may exceed
   * it by one message; with 0 nothing is buffered beyond one. Default: 16 MiB.
   */
  highWaterMark?: number | undefined
}

/** Options for writing. */
export interface WriteOptions {
  /**
   * When aborted, ends the stream at once, with the signal's reason as the error. The signal of `pipeTo()` takes effect only after the
   * current write, which may be waiting for a connection. Default: none.
   */
  signal?: AbortSignal | undefined
  /** The writer waits while the socket's `bufferedAmount` is above this number of bytes. Default: 1 MiB. */
  highWaterMark?: number | undefined
}
