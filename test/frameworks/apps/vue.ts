import { createApp, createSSRApp, h, nextTick, shallowRef } from 'vue'
import type { App, AppProps, View } from './contract.ts'
import Feed from './Feed.vue'

const create = (make: typeof createApp, first: AppProps) => {
  const props = shallowRef(first)
  const app = make(() => props.value.feeds.map(feed => h(Feed, { key: feed.id, ...feed })))
  return { props, app }
}

const open = async (make: typeof createApp, target: Element, first: AppProps): Promise<View> => {
  const { props, app } = create(make, first)
  const perform = async (job: () => unknown) => {
    job()
    await nextTick()
  }
  await perform(() => app.mount(target))
  return {
    update: next => perform(() => (props.value = next)),
    unmount: () => perform(() => app.unmount()),
    perform,
  }
}

export const mount: App['mount'] = (target, props) => open(createApp, target, props)
export const hydrate: App['hydrate'] = (target, props) => open(createSSRApp, target, props)

/** The app on a server. */
export const serverApp = (props: AppProps) => create(createSSRApp, props).app
