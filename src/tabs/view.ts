import { createEmitter, type Emitter, type SocketError, type State } from '../index.js'
import { decode, type Snapshot } from './protocol.js'
import type { Sharing, TabsEvents } from './types.js'

/** The shared connection, as this tab's socket shows it. */
export interface View {
  readonly emitter: Emitter<TabsEvents<any>>
  readonly snapshot: Snapshot
  readonly sharing: Sharing
  readonly isOpen: boolean
  readonly hasBeenOpen: boolean
  setSharing(sharing: Partial<Sharing>): void
  /** Takes over what the hub has posted. */
  update(snapshot: Snapshot): void
  /** Emits events for what has changed since the last hub, or while the tab was away. */
  catchUp(snapshot: Snapshot): void
  /** Emits an event of the hub's socket. */
  onEvent(event: string, payload: unknown): void
  /** This tab has no connection any more. */
  end(cause: SocketError, state: State, code: number, reason?: string): void
}

const INITIAL: Snapshot = {
  state: { name: 'closed' },
  url: '',
  protocol: '',
  latency: undefined,
  attempts: 0,
  connections: 0,
}

/** Creates the view of a tab. */
export const createView = (): View => {
  const emitter = createEmitter<TabsEvents<any>>([
    'state',
    'open',
    'text',
    'binary',
    'close',
    'error',
    'drop',
    'gap',
    'sharing',
    'conflict',
  ])
  const { emit } = emitter
  let snapshot = INITIAL
  let sharing: Sharing = { holder: undefined, tabs: 0 }
  let hasBeenOpen = false

  const view: View = {
    emitter,
    get snapshot() {
      return snapshot
    },
    get sharing() {
      return sharing
    },
    get isOpen() {
      return snapshot.state.name === 'open'
    },
    get hasBeenOpen() {
      return hasBeenOpen
    },
    setSharing(change) {
      const next = { ...sharing, ...change }
      if (next.holder === sharing.holder && next.tabs === sharing.tabs) return
      sharing = next
      emit('sharing', sharing)
    },
    update(next) {
      // Remains the same object until the state changes.
      const isSame = JSON.stringify(next.state) === JSON.stringify(snapshot.state)
      snapshot = { ...next, state: isSame ? snapshot.state : decode(next.state) }
    },
    catchUp(next) {
      const { state: before } = snapshot
      const wasOpen = view.isOpen
      view.update(next)
      const { state, url, protocol } = snapshot
      if (state !== before) emit('state', state)
      if (!view.isOpen || wasOpen) return
      const { attempt } = state as State & { name: 'open' }
      emit('open', { attempt, url, protocol, reconnected: hasBeenOpen, seamless: false })
      hasBeenOpen = true
    },
    onEvent(event, payload) {
      const decoded = event === 'state' ? snapshot.state : decode(payload)
      // The connection may have been open before this tab joined.
      emit(event as 'error', event === 'open' ? { ...decoded, reconnected: hasBeenOpen } : decoded)
      if (event === 'open') hasBeenOpen = true
    },
    end(cause, state, code, reason = '') {
      const wasOpen = view.isOpen
      snapshot = { ...snapshot, state }
      emit('state', state)
      if (!wasOpen) return
      const willRetry = state.name !== 'closed'
      const delay = 'delay' in state ? state.delay : willRetry ? 0 : undefined
      emit('close', { code, reason, wasClean: code !== 1006, cause, willRetry, delay })
    },
  }
  return view
}
