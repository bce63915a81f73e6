import { mount as begin, flushSync, unmount } from 'svelte'
import Room from './Room.svelte'
import { reactive } from './state.svelte.ts'

export const mount = (target: Element) => {
  const props = reactive({ room: 'a', wanted: 'open' })
  const app = begin(Room, { target, props })
  flushSync()
  return {
    set: (next: object) => Object.assign(props, next),
    flush: () => flushSync(),
    unmount: () => unmount(app),
  }
}
