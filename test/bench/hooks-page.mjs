// biome-ignore-all lint/correctness/useHookAtTopLevel: views that are members of an object, and those of Vue
// What runs in the page of hooks.mjs: the same view with the functions of each package, as its own documents use them.
import { useWebSocket as useVueUse } from '@vueuse/core'
import { useWebSocket as useParty } from 'partysocket/react'
import { createElement, StrictMode, useCallback, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import useWebSocketModule from 'react-use-websocket'
import * as react from 'steadysocket/react'
import * as vue from 'steadysocket/vue'
import { createApp, defineComponent, h, onBeforeUpdate, ref, shallowRef, watch } from 'vue'

// CommonJS, which bundlers do not agree about.
const useReactWebSocket = useWebSocketModule.default ?? useWebSocketModule

/** The connections of the packages. */
const natives = []
globalThis.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args)
    natives.push(this)
  }
}

const count = total => total + 1

/** Each calls `rendered` when it renders, and shows how many messages it has had. */
const reactViews = {
  'steadysocket/react'({ url, rendered }) {
    rendered()
    return react.useMessages(react.useSocket(url), count, 0)
  },
  'react-use-websocket, lastMessage'({ url, rendered }) {
    rendered()
    const { lastMessage } = useReactWebSocket(url, { share: true })
    const [total, setTotal] = useState(0)
    useEffect(() => {
      if (lastMessage) setTotal(count)
    }, [lastMessage])
    return total
  },
  'react-use-websocket, onMessage'({ url, rendered }) {
    rendered()
    const [total, setTotal] = useState(0)
    const onMessage = useCallback(() => setTotal(count), [])
    useReactWebSocket(url, { share: true, onMessage })
    return total
  },
  'partysocket/react, onMessage'({ url, rendered }) {
    rendered()
    const [total, setTotal] = useState(0)
    useParty(url, undefined, { onMessage: () => setTotal(count) })
    return total
  },
}

const vueViews = {
  'steadysocket/vue': ({ url }) => vue.useMessages(vue.useSocket(url), count, 0),
  '@vueuse/core, data'({ url }) {
    const total = ref(0)
    const { data } = useVueUse(url, { autoReconnect: true })
    watch(data, () => total.value++)
    return total
  },
  '@vueuse/core, onMessage'({ url }) {
    const total = ref(0)
    useVueUse(url, { autoReconnect: true, onMessage: () => total.value++ })
    return total
  },
}

const createCounts = () => {
  const counts = { renders: 0 }
  return { counts, rendered: () => counts.renders++ }
}

const mountReact = (View, target, { url, strict }) => {
  const { counts, rendered } = createCounts()
  const root = createRoot(target)
  const show = views => {
    const all = views.map(key => createElement(View, { key, url, rendered }))
    root.render(strict ? createElement(StrictMode, null, all) : all)
  }
  return { counts, show, unmount: () => root.unmount() }
}

const mountVue = (setUp, target, { url }) => {
  const { counts, rendered } = createCounts()
  const shown = shallowRef([])
  const View = defineComponent(() => {
    const total = setUp({ url })
    onBeforeUpdate(rendered)
    return () => String(total.value)
  })
  const app = createApp(() => shown.value.map(key => h(View, { key })))
  app.mount(target)
  return {
    counts,
    show(views) {
      shown.value = views
    },
    unmount: () => app.unmount(),
  }
}

/** Mounts the views of a contender, and leaves the stage in a global. */
globalThis.mount = (name, options) => {
  document.body.replaceChildren()
  const target = document.createElement('main')
  document.body.append(target)
  const [make, view] = name in reactViews ? [mountReact, reactViews[name]] : [mountVue, vueViews[name]]
  const stage = make(view, target, options)
  stage.show(options.views)
  globalThis.stage = stage
}

/** Dispatches messages in one task, as a browser may after the page was busy. */
globalThis.flood = count => {
  for (let n = 1; n <= count; n++) natives.at(-1).dispatchEvent(new MessageEvent('message', { data: `${n}` }))
}

/** Resolves when nothing has been rendered for as long as this. */
globalThis.settled = async ms => {
  const read = () => `${document.querySelector('main').textContent} ${globalThis.stage.counts.renders}`
  for (let last; last !== read(); ) {
    last = read()
    await new Promise(resolve => setTimeout(resolve, ms))
  }
  return { delivered: Number(document.querySelector('main').textContent), ...globalThis.stage.counts }
}
