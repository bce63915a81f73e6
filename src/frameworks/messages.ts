import { createEmitter } from '../index.js'
import type { Store } from './store.js'
import type { MessageSource } from './types.js'

/** The number of milliseconds between two frames of a hidden page, which has none, but may show a number in its title. */
const HIDDEN = 1_000

const frames = /* @__PURE__ */ createEmitter<{ frame: undefined }>(['frame'])
let timer: ReturnType<typeof setTimeout> | undefined

const runFrame = () => {
  clearTimeout(timer)
  timer = undefined
  frames.emit('frame', undefined)
}

/** Runs a function in the next frame, together with all others, so that a framework renders once. */
const inNextFrame = (job: () => void) => {
  frames.once('frame', job)
  timer ??= setTimeout(runFrame, HIDDEN)
  globalThis.requestAnimationFrame?.(runFrame)
}

/** How to collect messages: the number of those to keep, or a reducer. */
export type Collection = number | ((value: any, message: any) => unknown)

/** An empty list is the same one each time, so that nothing is rendered for it. */
const EMPTY: readonly unknown[] = []

/**
 * Makes a function that makes the store for a source. All stores have one value, which goes on when a component passes a new source for
 * the same socket, or a new reducer, each time that it is rendered. Each message is processed when it arrives, so that none is missed.
 */
export const createCollector = (
  how: Collection,
  initial: unknown,
): ((source: MessageSource, how?: Collection) => Store<any>) => {
  const isList = typeof how !== 'function'
  if (isList && !((how as number) > 0)) throw new TypeError('useMessages() needs a limit or a function')
  let value: any = isList ? EMPTY : initial
  let shown = value
  let isDue = false
  let changed: (() => void) | undefined
  const show = () => {
    isDue = false
    shown = value = isList ? value.slice(-how) : value
    changed?.()
  }
  const onMessage = (message: unknown) => {
    if (!isDue) {
      isDue = true
      inNextFrame(show)
      // One copy for each frame: one for each message would take long in a burst.
      if (isList) value = [...value]
    }
    if (isList) value.push(message)
    else value = (how as any)(value, message)
  }
  return (source: any, next = how) => [
    onChange => {
      how = next
      changed = onChange
      const off = source.on(source.queuedMessages ? 'text' : 'message', onMessage)
      return () => {
        changed = undefined
        off()
      }
    },
    () => shown,
  ]
}
