// biome-ignore-all lint/correctness/useHookAtTopLevel: views that are members of an object, and those of Vue
// The program of the page of hooks.mjs: the same view with the functions of each package, used as its documentation does.
import { useWebSocket as useVueUse } from '@vueuse/core'
import { useWebSocket as useParty } from 'partysocket/react'
import { createElement, StrictMode, useCallback, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import useWebSocketModule from 'react-use-websocket'
import * as react from 'steadysocket/react'
import * as vue from 'steadysocket/vue'
import { createApp, defineComponent, h, onBeforeUpdate, ref, shallowRef, watch } from 'vue'

// A CommonJS module, whose default export depends on the bundler.
const useReactWebSocket = useWebSocketModule.default ?? useWebSocketModule

/** The native sockets that the packages have created. */
const natives = []
globalThis.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args)
    natives.push(this)
  }
}

const count = total => total + 1

/** Each view calls `rendered` when it renders, and shows the number of messages that it has received. */
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

/** Mounts the views with one package, and stores the functions to control them in `globalThis.mounted`. */
globalThis.mount = (name, options) => {
  document.body.replaceChildren()
  const target = document.createElement('main')
  document.body.append(target)
  const [make, view] = name in reactViews ? [mountReact, reactViews[name]] : [mountVue, vueViews[name]]
  const mounted = make(view, target, options)
  mounted.show(options.views)
  globalThis.mounted = mounted
}

/** Dispatches messages in one task, as a browser may do after the page was busy. */
globalThis.flood = count => {
  for (let n = 1; n <= count; n++) natives.at(-1).dispatchEvent(new MessageEvent('message', { data: `${n}` }))
}

/** Resolves when nothing has been rendered for `ms` milliseconds. */
globalThis.settled = async ms => {
  const read = () => `${document.querySelector('main').textContent} ${globalThis.mounted.counts.renders}`
  for (let last; last !== read(); ) {
    last = read()
    await new Promise(resolve => setTimeout(resolve, ms))
  }
  return { delivered: Number(document.querySelector('main').textContent), ...globalThis.mounted.counts }
}
