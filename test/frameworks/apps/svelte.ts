import { mount as begin, flushSync, hydrate as take, unmount } from 'svelte'
import type { App, AppProps, View } from './contract.ts'
import Main from './Main.svelte'
import { reactive } from './state.svelte.ts'

const open = async (make: typeof begin, target: Element, first: AppProps): Promise<View> => {
  const props = reactive({ ...first })
  const perform = async (job: () => unknown) => {
    job()
    flushSync()
  }
  const app = make(Main, { target, props })
  flushSync()
  return {
    update: ({ feeds }) => perform(() => (props.feeds = feeds)),
    unmount: () => perform(() => unmount(app)),
    perform,
  }
}

export const mount: App['mount'] = (target, props) => open(begin, target, props)
export const hydrate: App['hydrate'] = (target, props) => open(take as typeof begin, target, props)
