/** @jsxImportSource solid-js */
import { createResource, createSignal, ErrorBoundary, Show, Suspense } from 'solid-js'
import { render } from 'solid-js/web'
import { json } from 'steadysocket/json'
import { useMessages, useSend, useSocket, useSocketState } from 'steadysocket/solid'
import { rendered } from './contract.ts'

export const mount = (target: Element) => {
  const [room, setRoom] = createSignal('a')
  const [wanted, setWanted] = createSignal('open')
  let send: (value: object) => unknown = () => {}

  const Room = () => {
    const socket = useSocket(async () => 'wss://push.example.com/keyed', { key: 'feed' })
    const other = useSocket(() => `wss://push.example.com/${room()}`)
    const state = useSocketState(socket)
    const isWanted = useSocketState(other, state => state.name === wanted())
    const values = useMessages(() => json(other()), 2)
    send = useSend(() => json(other()))
    return (
      <>
        <p class="state">{state().name}</p>
        <p class="wanted">{`${isWanted()}`}</p>
        <p class="values">{rendered('values', JSON.stringify(values()))}</p>
        <button type="button" onClick={() => send({ hello: room() })}>
          Send
        </button>
      </>
    )
  }
  const dispose = render(() => <Room />, target)
  return {
    set(next: { room?: string; wanted?: string }) {
      if (next.room) setRoom(next.room)
      if (next.wanted) setWanted(next.wanted)
    },
    flush() {},
    unmount: dispose,
  }
}

/** A view under Suspense, and one whose effect fails. */
export const suspend = (target: Element, loaded: Promise<string>) => {
  const [isShown, show] = createSignal(true)
  const Feed = () => {
    const state = useSocketState(useSocket('wss://push.example.com/suspended'))
    const [user] = createResource(() => loaded)
    return (
      <p>
        {user()}: {state().name}
      </p>
    )
  }
  const dispose = render(
    () => (
      <ErrorBoundary fallback="failed">
        <Show when={isShown()} fallback="gone">
          <Suspense fallback="loading">
            <Feed />
          </Suspense>
        </Show>
      </ErrorBoundary>
    ),
    target,
  )
  return { hide: () => show(false), unmount: dispose }
}
